using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Queue;

/// <summary>What the cluster's grain knows, and stores before it acts on it.</summary>
internal sealed class StoredCluster
{
    private const int MostEndedRuns = 500;

    public GangQueue Queue { get; set; } = GangQueue.Empty;

    /// <summary>How the newest runs ended, oldest first; older ones are known to their own grain only.</summary>
    public ImmutableList<RunStatus> Ended { get; set; } = ImmutableList<RunStatus>.Empty;

    public void End(RunStatus final)
    {
        Queue = Queue.Release(final.Run);
        if (Ended.Exists(r => r.Run == final.Run)) return;
        Ended = Ended.Add(final);
        if (Ended.Count > MostEndedRuns) Ended = Ended.RemoveAt(0);
    }
}
