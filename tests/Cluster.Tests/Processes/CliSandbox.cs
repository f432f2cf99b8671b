using System.Text.Json;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>
/// The built <c>phi3v</c> with a home, a current folder and a temporary folder of its own, and no cluster configured: tests do not
/// see each other or the user's cluster.
/// </summary>
public sealed class CliSandbox : IDisposable
{
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60); // generous: a shared machine may be slow, the assertions are not about it

    private readonly Dictionary<string, string?> _environment;

    public CliSandbox()
    {
        Folder = Directory.CreateTempSubdirectory("phi3v-test-").FullName;
        Directory.CreateDirectory(At("tmp"));
        _environment = new() { ["PHI3V_HOME"] = At("home"), ["PHI3V_CLUSTER"] = null, ["PHI3V_SILO"] = null, ["TMPDIR"] = At("tmp") };
    }

    public string Folder { get; }

    /// <summary>Where the build put it: artifacts/bin/PROJECT/CONFIGURATION.</summary>
    public static string Executable { get; } = Path.GetFullPath(Path.Combine(
        AppContext.BaseDirectory, "../../Client", Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)), "phi3v"));

    public string At(string name) => Path.Combine(Folder, name);

    public void Set(string variable, string value) => _environment[variable] = value;

    public string Write(string name, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(At(name))!);
        File.WriteAllText(At(name), text);
        return At(name);
    }

    public RunningProcess Start(params string[] arguments) => StartOther(Executable, arguments);

    public RunningProcess StartOther(string executable, params string[] arguments) =>
        RunningProcess.Start(executable, arguments, _environment, Folder);

    public async Task<ProcessResult> RunAsync(params string[] arguments)
    {
        await using var process = Start(arguments);
        return await process.EndAsync(Timeout);
    }

    /// <summary>Runs with <c>--json</c>; fails unless stdout is one JSON document and the exit code the expected one.</summary>
    public async Task<JsonElement> JsonAsync(int exitCode, params string[] arguments)
    {
        var result = await RunAsync([.. arguments, "--json"]);
        Assert.True(result.ExitCode == exitCode, $"expected exit code {exitCode}: {result}");
        return JsonDocument.Parse(result.Stdout).RootElement;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
