using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Engine;

/// <summary>Ends a rank's work in one generation, from any thread: every wait, within a second. The first reason counts.</summary>
internal sealed class GenerationAbort
{
    private readonly CancellationTokenSource _stop = new(); // has no timer and no handle: nothing to dispose
    private readonly Lock _gate = new();
    private ICollective? _collective;

    /// <summary>Null while nobody has aborted it.</summary>
    public string? Reason { get; private set; }

    public CancellationToken Token => _stop.Token;

    public void Abort(string reason)
    {
        lock (_gate)
        {
            if (Reason is not null) return;
            Reason = reason;
        }
        _stop.Cancel();
        _collective?.Abort(reason);
    }

    /// <summary>The collective is there; it is aborted at once if the abort came before.</summary>
    public void Attach(ICollective collective)
    {
        lock (_gate)
        {
            _collective = collective;
            if (Reason is { } reason) collective.Abort(reason);
        }
    }
}
