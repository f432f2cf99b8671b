using System.Diagnostics;

namespace Phi3VCluster.Bench;

/// <summary>Runs the peers' scripts. Debian's python: another one on the path does not see Debian's packages.</summary>
internal static class DebianPython
{
    private const string Executable = "/usr/bin/python3";

    /// <summary>Whether these modules, comma-separated, can be imported.</summary>
    public static bool Has(string modules)
    {
        if (!File.Exists(Executable)) return false;
        using var probe = Process.Start(new ProcessStartInfo(Executable, ["-c", $"import {modules}"]) { RedirectStandardError = true })!;
        probe.StandardError.ReadToEnd();
        probe.WaitForExit();
        return probe.ExitCode == 0;
    }

    /// <summary>How to start a script of <c>bench/peers</c>; its standard output is the caller's to read.</summary>
    public static ProcessStartInfo Script(string name, params IEnumerable<string> arguments) =>
        new(Executable, [Path.Combine(AppContext.BaseDirectory, "peers", name), .. arguments]) { RedirectStandardOutput = true };
}
