using System.Diagnostics;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Silo;

/// <summary>
/// A cluster of one silo for the length of one command. The silo reads the pipe that this process holds: it ends when the pipe
/// closes, and a killed process closes its pipes.
/// </summary>
internal sealed class LocalSilo : IAsyncDisposable
{
    private const string FolderPrefix = "phi3v-local-";
    private const int SignalBase = 128, MostTries = 5;

    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan AbandonedAge = TimeSpan.FromDays(1);

    private readonly Process _process;
    private readonly string _folder;

    private LocalSilo(Process process, string folder, string logFile, ClusterAddress address, int httpPort) =>
        (_process, _folder, LogFile, Address, HttpPort) = (process, folder, logFile, address, httpPort);

    public ClusterAddress Address { get; }

    public int HttpPort { get; }

    public string LogFile { get; }

    public bool HasEnded => _process.HasExited;

    /// <summary>Whether the log is gone with the silo.</summary>
    public bool LogIsTemporary => LogFile.StartsWith(_folder, StringComparison.Ordinal);

    /// <summary>The signal that ended it; null where it ended by itself.</summary>
    public int? KilledBy => _process.HasExited && _process.ExitCode > SignalBase ? _process.ExitCode - SignalBase : null;

    /// <summary>Completes when the process is gone.</summary>
    public Task EndedAsync(CancellationToken unless) => _process.WaitForExitAsync(unless);

    /// <param name="usesGpus">A node with GPUs has as many ranks as those; one that leaves them alone, as many as it is told.</param>
    /// <param name="logFile">Null: a log that goes when the silo does.</param>
    public static async Task<LocalSilo> StartAsync(int ranks, bool usesGpus, string? logFile, CancellationToken interrupted)
    {
        TemporaryFolder.Check();
        RemoveAbandonedFolders();
        var folder = Directory.CreateTempSubdirectory($"{FolderPrefix}{Environment.ProcessId}-").FullName;
        logFile ??= Path.Combine(folder, "silo.log");
        try
        {
            for (var tries = 1; ; tries++)
            {
                var ports = FreePorts.Free(3);
                var options = new SiloOptions(ports[0], ports[1], ports[2], "local", ranks, folder, logFile, UntilStdinCloses: true)
                {
                    UsesGpus = usesGpus,
                };
                try
                {
                    return new(await SiloProcess.StartAsync(options, interrupted), folder, logFile, new("127.0.0.1", ports[0]), ports[2]);
                }
                catch (InputException refused) when (tries < MostTries && refused.Problems.All(IsOfPorts))
                {
                    // Another program took one after it was found free; nobody has asked for these.
                }
            }
        }
        catch
        {
            Directory.Delete(folder, recursive: true);
            RemoveIfEmpty(logFile);
            throw;
        }
    }

    private static bool IsOfPorts(string problem) => problem.Split(':')[0].EndsWith("-port", StringComparison.Ordinal);

    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        using var patience = new CancellationTokenSource(StopPatience);
        await _process.WaitForExitAsync(patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync(CancellationToken.None);
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
        RemoveIfEmpty(LogFile);
    }

    /// <summary>A log that says nothing, and the folder that was made for it.</summary>
    private static void RemoveIfEmpty(string? logFile)
    {
        if (logFile is null || Path.GetDirectoryName(logFile) is not { } folder || !Directory.Exists(folder)) return;
        if (File.Exists(logFile) && new FileInfo(logFile).Length == 0) File.Delete(logFile);
        if (!Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
    }

    // Those of commands that were killed: their silos ended, but nobody was left to delete. The age spares a live one of a
    // container that shares the folder but not our process numbers.
    private static void RemoveAbandonedFolders()
    {
        foreach (var folder in Directory.EnumerateDirectories(Path.GetTempPath(), FolderPrefix + "*"))
        {
            var process = Path.GetFileName(folder)[FolderPrefix.Length..].Split('-')[0];
            if (Directory.Exists($"/proc/{process}") || DateTime.UtcNow - Directory.GetLastWriteTimeUtc(folder) < AbandonedAge) continue;
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // Another user's, or another command removes it at this moment.
            }
        }
    }
}
