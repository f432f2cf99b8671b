using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Queue;

/// <summary>
/// Who waits for seats and who has them. First come, first served, with no overtaking: a small run that slipped past would starve a
/// large one. A run that has begun and cannot go on without more seats came before all that wait.
/// </summary>
internal sealed record GangQueue(ImmutableList<RankDemand> Waiting, LeaseBook Leases)
{
    public static GangQueue Empty { get; } = new(ImmutableList<RankDemand>.Empty, LeaseBook.Empty);

    public bool Knows(string run) => Leases.Knows(run) || Waiting.Exists(d => d.Run == run);

    /// <summary>What a run that waits, or has seats, asked for.</summary>
    public RankDemand? DemandOf(string run) =>
        Leases.Runs.TryGetValue(run, out var leased) ? leased.Demand : Waiting.Find(d => d.Run == run);

    public GangQueue Enqueue(RankDemand demand) => Knows(demand.Run) ? this : this with { Waiting = Waiting.Add(demand) };

    /// <summary>The run waits no more and has no seats any more.</summary>
    public GangQueue Release(string run) => new(Waiting.RemoveAll(d => d.Run == run), Leases.Close(run));

    /// <returns>The queue after the lease, and null if the first in the queue has to wait.</returns>
    public (GangQueue Queue, Leased? Lease) LeaseNext(IReadOnlyList<NodeCapacity> nodes)
    {
        if (Waiting.IsEmpty || LeasePlanner.Plan(Waiting[0], nodes) is not { } plan) return (this, null);
        var leases = Leases.Open(Waiting[0], plan.Device, plan.Places);
        return (new(Waiting.RemoveAt(0), leases), leases.Runs[Waiting[0].Run]);
    }

    /// <summary>
    /// Gives a run that has seats more of them, as far as there are. If it only would like them, those that wait come first: what is
    /// free is
    /// kept for the first of them, unless all nodes together could never carry it.
    /// </summary>
    public GangQueue Grow(string run, RunNeeds needs, IReadOnlyList<NodeCapacity> nodes)
    {
        if (needs.Wants <= 0 || !Leases.Runs.TryGetValue(run, out var leased) || leased.NextSeat != needs.NextSeat) return this;
        if (!needs.IsShort && Waiting is [var head, ..]
            && head.Kinds().Any(kind => nodes.Where(n => n.Has(kind)).Sum(n => n.Ranks) >= head.MinRanks))
            return this;
        var places = LeasePlanner.Take(needs.Wants, nodes.Where(node => node.Has(leased.Device) && !needs.Refusing.Contains(node.Silo)));
        return places.Count == 0 ? this : this with { Leases = Leases.Grow(run, places) };
    }

    /// <summary>The run does not have these seats any more.</summary>
    public GangQueue GiveUp(string run, IReadOnlyCollection<int> seats)
    {
        var leases = Leases.GiveUp(run, seats);
        return ReferenceEquals(leases, Leases) ? this : this with { Leases = leases };
    }

    /// <summary>Whether a run that has begun is short of seats, and what is free would make it whole: then nobody else gets it.</summary>
    /// <param name="live">Its seats on silos that are there.</param>
    public static bool IsOwed(Leased leased, int live, IReadOnlyCollection<string> refusing, IReadOnlyList<NodeCapacity> nodes)
    {
        var missing = leased.Demand.MinRanks - live;
        return missing > 0
            && nodes.Where(node => node.Has(leased.Device) && !refusing.Contains(node.Silo)).Sum(node => node.Free) >= missing;
    }

    /// <summary>Why a waiting run waits, e.g. "4 ranks; the cluster has 2, 2 of them free".</summary>
    public string WaitingFor(RankDemand demand, IReadOnlyList<NodeCapacity> nodes)
    {
        var ahead = Waiting.FindIndex(d => d.Run == demand.Run);
        if (ahead > 0) return $"{(ahead == 1 ? "the run" : $"{ahead} runs")} ahead of it in the queue";
        var fitting = demand.Kinds().Select(kind => nodes.Where(n => n.Has(kind)).ToList()).MaxBy(list => list.Sum(n => n.Ranks))!;
        var kind = demand.Device == "auto" ? "" : $"{demand.Device} ";
        var holders = fitting.SelectMany(n => Leases.On(n.Silo)).Select(lease => lease.Run).Distinct().ToList();
        return $"{demand.MinRanks} {kind}{(demand.MinRanks == 1 ? "rank" : "ranks")}; "
            + $"the cluster has {fitting.Sum(n => n.Ranks)}, {fitting.Sum(n => n.Free)} of them free"
            + (holders.Count > 0 ? $", leased to {string.Join(", ", holders)}" : "");
    }
}
