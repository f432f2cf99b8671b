using System.Runtime.InteropServices;

namespace Phi3VCluster.Client.App;

/// <summary>
/// Cancels a token when the user wants the command to end: Ctrl-C, SIGTERM, a closed terminal, or the end of the
/// <c>dotnet run</c> that started it, which passes no signal on.
/// </summary>
internal sealed partial class Interrupt : IDisposable
{
    private static readonly TimeSpan ParentCheck = TimeSpan.FromMilliseconds(500);

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _signals;
    private readonly Timer? _parentWatch;

    /// <param name="endsWithDotnetRun">Whether the end of that parent counts.</param>
    public Interrupt(bool endsWithDotnetRun = true)
    {
        _signals = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }
            .Select(s => PosixSignalRegistration.Create(s, OnSignal))];
        var parent = getppid();
        if (endsWithDotnetRun && NameOf(parent) == "dotnet")
            _parentWatch = new Timer(_ => CancelIfOrphaned(parent), null, ParentCheck, ParentCheck);
    }

    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        _parentWatch?.Dispose();
        foreach (var signal in _signals) signal.Dispose();
    }

    // The first asks for an orderly end; the second is left to the system's default, which ends the process at once.
    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = !_source.IsCancellationRequested;
        _source.Cancel();
    }

    private void CancelIfOrphaned(int parent)
    {
        if (getppid() != parent) _source.Cancel();
    }

    private static string NameOf(int process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/comm").Trim();
        }
        catch (IOException)
        {
            return "";
        }
    }

    [LibraryImport("libc")]
    private static partial int getppid();
}
