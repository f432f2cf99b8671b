using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Queue;

/// <summary>
/// Who waits for ranks and who has them. First come, first served, with no overtaking: a small run that slipped past would starve a
/// large one.
/// </summary>
internal sealed record GangQueue(ImmutableList<RankDemand> Waiting, ImmutableSortedDictionary<string, Lease> Leases)
{
    public static GangQueue Empty { get; } = new(ImmutableList<RankDemand>.Empty, ImmutableSortedDictionary<string, Lease>.Empty);

    public bool Knows(string run) => Leases.ContainsKey(run) || Waiting.Exists(d => d.Run == run);

    public GangQueue Enqueue(RankDemand demand) => Knows(demand.Run) ? this : this with { Waiting = Waiting.Add(demand) };

    /// <summary>The run waits no more and has no ranks any more.</summary>
    public GangQueue Release(string run) => this with { Waiting = Waiting.RemoveAll(d => d.Run == run), Leases = Leases.Remove(run) };

    /// <returns>The queue after the lease, and null if the first in the queue has to wait.</returns>
    public (GangQueue Queue, Lease? Lease) LeaseNext(IReadOnlyList<NodeCapacity> nodes)
    {
        if (Waiting.IsEmpty || LeasePlanner.Plan(Waiting[0], nodes) is not { } lease) return (this, null);
        return (new(Waiting.RemoveAt(0), Leases.Add(lease.Run, lease)), lease);
    }

    /// <summary>Runs that lease ranks on a node, and which.</summary>
    public IReadOnlyList<(string Run, IReadOnlyList<int> Ranks)> LeasesOn(string node) =>
    [
        .. Leases.Values.Select(l => (l.Run, Ranks: (IReadOnlyList<int>)[.. l.Places.Where(p => p.Node == node).Select(p => p.Rank)]))
            .Where(l => l.Ranks.Count > 0),
    ];

    /// <summary>Why a waiting run waits, e.g. "4 ranks; the cluster has 2, 2 of them free".</summary>
    public string WaitingFor(RankDemand demand, IReadOnlyList<NodeCapacity> nodes)
    {
        var ahead = Waiting.FindIndex(d => d.Run == demand.Run);
        if (ahead > 0) return $"{(ahead == 1 ? "the run" : $"{ahead} runs")} ahead of it in the queue";
        var fitting = demand.Kinds().Select(kind => nodes.Where(n => n.Has(kind)).ToList()).MaxBy(list => list.Sum(n => n.Ranks))!;
        var kind = demand.Device == "auto" ? "" : $"{demand.Device} ";
        var holders = fitting.SelectMany(n => LeasesOn(n.Node)).Select(lease => lease.Run).Distinct().ToList();
        return $"{demand.MinRanks} {kind}{(demand.MinRanks == 1 ? "rank" : "ranks")}; "
            + $"the cluster has {fitting.Sum(n => n.Ranks)}, {fitting.Sum(n => n.Free)} of them free"
            + (holders.Count > 0 ? $", leased to {string.Join(", ", holders)}" : "");
    }
}
