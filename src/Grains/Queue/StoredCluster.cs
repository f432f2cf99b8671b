using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Queue;

/// <summary>What the cluster's grain knows, and stores before it acts on it.</summary>
internal sealed class StoredCluster
{
    public const int MostEndedRuns = 500;

    /// <summary>
    /// Counts what a reader of an earlier build could not make sense of. Format 1 is stored under another name: it knew no seats, and
    /// nothing of it can be gone on with.
    /// </summary>
    public const int ThisFormat = 2;

    public int Format { get; set; } = ThisFormat;

    /// <summary>Runs that are in the queue and whose own grain has not heard of it.</summary>
    public ImmutableSortedDictionary<string, QueuedRun> Untold { get; set; } = ImmutableSortedDictionary<string, QueuedRun>.Empty;

    public GangQueue Queue { get; set; } = GangQueue.Empty;

    /// <summary>How the newest runs ended, oldest first; older ones are forgotten.</summary>
    public ImmutableList<RunStatus> Ended { get; set; } = ImmutableList<RunStatus>.Empty;

    /// <summary>Ended runs whose own grain is to forget them too.</summary>
    public ImmutableSortedSet<string> Forgotten { get; set; } = ImmutableSortedSet<string>.Empty;

    /// <summary>Nodes that somebody asked to be emptied.</summary>
    public ImmutableSortedSet<string> Draining { get; set; } = ImmutableSortedSet<string>.Empty;

    /// <summary>The run is in the queue, for the first time or again.</summary>
    public void Enqueue(QueuedRun run, RankDemand demand)
    {
        Untold = Untold.SetItem(run.Run, run);
        Ended = Ended.RemoveAll(ended => ended.Run == run.Run);
        Forgotten = Forgotten.Remove(run.Run);
        Queue = Queue.Enqueue(demand);
    }

    public void End(RunStatus final)
    {
        Queue = Queue.Release(final.Run);
        Untold = Untold.Remove(final.Run);
        if (Ended.Exists(r => r.Run == final.Run)) return;
        Ended = Ended.Add(final);
        if (Ended.Count > MostEndedRuns) Forget(Ended[0].Run);
    }

    /// <returns>Whether there was such an ended run.</returns>
    public bool Forget(string run)
    {
        if (!Ended.Exists(ended => ended.Run == run)) return false;
        Ended = Ended.RemoveAll(ended => ended.Run == run);
        Forgotten = Forgotten.Add(run);
        return true;
    }
}
