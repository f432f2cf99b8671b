using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Queue;

/// <summary>What the cluster's grain knows, and stores before it acts on it.</summary>
internal sealed class StoredCluster
{
    private const int MostEndedRuns = 500;

    /// <summary>Counts what a reader of an earlier build could not make sense of.</summary>
    public const int ThisFormat = 1;

    public int Format { get; set; } = ThisFormat;

    /// <summary>Runs that are in the queue and whose own grain has not heard of it.</summary>
    public ImmutableSortedDictionary<string, QueuedRun> Untold { get; set; } = ImmutableSortedDictionary<string, QueuedRun>.Empty;

    public GangQueue Queue { get; set; } = GangQueue.Empty;

    /// <summary>How the newest runs ended, oldest first; older ones are known to their own grain only.</summary>
    public ImmutableList<RunStatus> Ended { get; set; } = ImmutableList<RunStatus>.Empty;

    public void End(RunStatus final)
    {
        Queue = Queue.Release(final.Run);
        Untold = Untold.Remove(final.Run);
        if (Ended.Exists(r => r.Run == final.Run)) return;
        Ended = Ended.Add(final);
        if (Ended.Count > MostEndedRuns) Ended = Ended.RemoveAt(0);
    }
}
