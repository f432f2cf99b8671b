using System.Text.Json;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>
/// The built <c>phi3v</c> with a home, a current folder and a temporary folder of its own, and no cluster configured: tests do not
/// see each other or the user's cluster.
/// </summary>
public sealed class CliSandbox : IDisposable
{
    public static readonly TimeSpan Timeout = TimeSpan.FromMinutes(3); // a shared machine may be slow; no test is about it

    private readonly Dictionary<string, string?> _environment;

    public CliSandbox()
    {
        Folder = Directory.CreateTempSubdirectory("phi3v-test-").FullName;
        Directory.CreateDirectory(At("tmp"));
        _environment = new()
        {
            ["PHI3V_HOME"] = At("home"),
            ["PHI3V_CLUSTER"] = null,
            ["PHI3V_SILO"] = null,
            ["PHI3V_STORE"] = null,
            ["TMPDIR"] = At("tmp"),
        };
    }

    public string Folder { get; }

    /// <summary>Where the build put it: artifacts/bin/PROJECT/CONFIGURATION.</summary>
    public static string Executable { get; } = Built("Client", "phi3v");

    public static string SiloExecutable { get; } = Built("Silo", "phi3v-silo");

    public static string StoreExecutable { get; } = Built("LocalStore", "phi3v-store");

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

    /// <summary>
    /// Processes that were started from here, whoever their parent is now: the sandbox is in their environment. A process that ended
    /// but was not collected by its parent yet has none any more.
    /// </summary>
    /// <param name="name">Only those with this in their command line.</param>
    public IReadOnlyList<int> Processes(string name = "") =>
    [
        .. Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(n => n!.All(char.IsAsciiDigit))
            .Where(n => ReadProc(n!, "environ").Contains($"PHI3V_HOME={At("home")}\0", StringComparison.Ordinal)
                && ReadProc(n!, "cmdline").Contains(name, StringComparison.Ordinal))
            .Select(n => int.Parse(n!)),
    ];

    /// <summary>Files and folders that commands made for themselves and have not removed.</summary>
    public IReadOnlyList<string> TemporaryFiles() => [.. Directory.EnumerateFileSystemEntries(At("tmp"))];

    public void Dispose()
    {
        foreach (var left in Processes()) RunningProcess.Signal(left, RunningProcess.Kill); // those of a test that failed
        Directory.Delete(Folder, recursive: true);
    }

    private static string Built(string project, string name) => Path.GetFullPath(Path.Combine(
        AppContext.BaseDirectory, "../..", project, Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)), name));

    private static string ReadProc(string process, string file)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/{file}");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) // it has just ended, or is another user's
        {
            return "";
        }
    }
}
