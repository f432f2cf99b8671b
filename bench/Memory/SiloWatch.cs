using System.Diagnostics;

namespace Phi3VCluster.Bench.Memory;

/// <summary>Runs a spec with the built CLI and reads, twice a second, how far it is and how much memory its silo holds.</summary>
internal static class SiloWatch
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(0.5);

    /// <exception cref="InvalidOperationException">The run failed, or ended before anything could be read.</exception>
    public static IReadOnlyList<Reading> Train(string spec, string output)
    {
        var start = new ProcessStartInfo(Executable(), ["submit", spec, "--wait"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var cli = Process.Start(start)!;
        var (text, errors) = (cli.StandardOutput.ReadToEndAsync(), cli.StandardError.ReadToEndAsync());
        var readings = new List<Reading>();
        while (!cli.WaitForExit(Interval))
        {
            if (Silo(cli.Id) is { } silo && StepsDone(output) is > 0 and var step && ResidentMegabytes(silo) is { } resident)
                readings.Add(new(step, resident));
        }
        return cli.ExitCode == 0 && readings.Count > 1
            ? readings
            : throw new InvalidOperationException(
                $"the run ended with {cli.ExitCode} after {readings.Count} readings:\n{text.Result}{errors.Result}");
    }

    /// <summary>The CLI's build output, beside the bench's.</summary>
    private static string Executable()
    {
        var here = new DirectoryInfo(AppContext.BaseDirectory);
        return Path.Combine(here.Parent!.Parent!.FullName, "Client", here.Name, "phi3v");
    }

    private static int? Silo(int cli)
    {
        var silo = Process.GetProcessesByName("phi3v-silo").Select(process => process.Id).FirstOrDefault(id => ParentOf(id) == cli);
        return silo > 0 ? silo : null;
    }

    private static int ParentOf(int process) => Field(process, "PPid:") ?? 0;

    private static double? ResidentMegabytes(int process) => Field(process, "VmRSS:") is { } kilobytes ? kilobytes / 1024.0 : null;

    private static int? Field(int process, string name)
    {
        try
        {
            var line = File.ReadLines($"/proc/{process}/status").FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal));
            return line is null ? null : int.Parse(line[name.Length..].Replace("kB", "").Trim());
        }
        catch (IOException)
        {
            return null; // ended meanwhile
        }
    }

    private static int StepsDone(string output) =>
        Directory.EnumerateFiles(output, "steps.jsonl", SearchOption.AllDirectories).Sum(file => File.ReadLines(file).Count());
}
