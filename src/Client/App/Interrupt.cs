using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Phi3VCluster.Client.App;

/// <summary>
/// Cancels a token when the user wants the command to end: Ctrl-C, SIGTERM, a closed terminal, or the end of the
/// <c>dotnet run</c> that started it, which passes no signal on.
/// </summary>
internal sealed partial class Interrupt : IDisposable
{
    private const short PollError = 8;

    private static readonly TimeSpan ParentCheck = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan SameSignal = TimeSpan.FromMilliseconds(500);

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _signals;
    private readonly Timer? _parentWatch;
    private readonly Stopwatch _sinceFirst = new();

    private readonly Timer? _readerWatch;

    /// <param name="endsWithDotnetRun">Whether the end of that parent counts.</param>
    /// <param name="endsWithReader">Whether the command is over when nobody reads the pipe that it writes to, as in <c>| head</c>.</param>
    public Interrupt(bool endsWithDotnetRun = true, bool endsWithReader = false)
    {
        _signals = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }
            .Select(s => PosixSignalRegistration.Create(s, OnSignal))];
        var parent = getppid();
        if (endsWithDotnetRun && NameOf(parent) == "dotnet")
            _parentWatch = new Timer(_ => CancelIfOrphaned(parent), null, ParentCheck, ParentCheck);
        if (endsWithReader) _readerWatch = new Timer(_ => CancelIfUnread(), null, ParentCheck, ParentCheck);
    }

    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        _parentWatch?.Dispose();
        _readerWatch?.Dispose();
        foreach (var signal in _signals) signal.Dispose();
    }

    // The first asks for an orderly end; a second is left to the system's default, which ends the process at once. `timeout`, and who
    // signals a process and its group, sends the first one twice.
    private void OnSignal(PosixSignalContext context)
    {
        lock (_sinceFirst)
        {
            context.Cancel = !_source.IsCancellationRequested || _sinceFirst is { IsRunning: true } clock && clock.Elapsed < SameSignal;
            _sinceFirst.Start();
        }
        _source.Cancel();
    }

    private void CancelIfOrphaned(int parent)
    {
        if (getppid() != parent) _source.Cancel();
    }

    // The runtime ignores SIGPIPE and drops what is written.
    private void CancelIfUnread()
    {
        var stdout = new PollEntry { Descriptor = 1 };
        if (poll(ref stdout, 1, 0) > 0 && (stdout.Result & PollError) != 0) _source.Cancel();
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

    [LibraryImport("libc")]
    private static partial int poll(ref PollEntry entries, nuint count, int milliseconds);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollEntry
    {
        public int Descriptor;
        public short Wanted, Result;
    }
}
