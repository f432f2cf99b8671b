using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Queue;

/// <summary>
/// Who waits for seats and who has them. First come, first served, with no overtaking: a small run that slipped past would starve a
/// large one. A run that has begun and cannot go on without more seats came before all that wait; but where it cannot have them, it
/// leaves what it has to a run that can do with it, and waits at the head of the queue.
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
        if (First(nodes) is not { } first || LeasePlanner.Plan(first, nodes) is not { } plan) return (this, null);
        var leases = Leases.Open(first, plan.Device, plan.Places);
        return (new(Waiting.Remove(first), leases), leases.Runs[first.Run]);
    }

    /// <summary>A run has left all its seats to others.</summary>
    public GangQueue Yield(string run)
    {
        if (!Leases.Runs.TryGetValue(run, out var leased)) return this;
        return new(Waiting.Insert(0, leased.Demand with { FirstSeat = leased.NextSeat, HasYielded = true }), Leases.Close(run));
    }

    /// <summary>
    /// Which of the runs that are short is to leave its seats: the youngest that cannot be filled, if what such runs have, with what is
    /// free, is enough for a run that waits, or for one of them that came before.
    /// </summary>
    /// <param name="shorts">Have been short for long enough.</param>
    /// <returns>Null where nobody gains by it.</returns>
    public string? WhoYields(IEnumerable<string> shorts, IReadOnlyList<NodeCapacity> nodes)
    {
        List<Leased> youngest =
        [
            .. shorts.Select(run => Leases.Runs[run]).Where(run => !IsOwed(run, run.Seats.Count, [], nodes))
                .OrderByDescending(run => run.Demand.SubmittedAt).ThenBy(run => run.Demand.Run, StringComparer.Ordinal),
        ];
        var (after, left) = (this, nodes);
        for (var count = 1; count <= youngest.Count; count++)
        {
            (after, left) = (after.Yield(youngest[count - 1].Demand.Run), With(left, youngest[count - 1].Seats));
            var isFilled = youngest.Skip(count).Any(run => IsOwed(run, run.Seats.Count, [], left));
            var begins = after.LeaseNext(left).Lease is { } lease && !youngest.Exists(run => run.Demand.Run == lease.Demand.Run);
            if (isFilled || begins) return youngest[0].Demand.Run;
        }
        return null;
    }

    /// <summary>The next that gets seats: the first, or the one behind runs that have yielded and cannot be carried now.</summary>
    private RankDemand? First(IReadOnlyList<NodeCapacity> nodes) =>
        Waiting.Find(demand => !demand.HasYielded || CouldCarry(demand, nodes));

    /// <summary>Whether all nodes together could, if nobody else had any of them.</summary>
    private static bool CouldCarry(RankDemand demand, IReadOnlyList<NodeCapacity> nodes) =>
        demand.Kinds().Any(kind => nodes.Where(n => n.Has(kind)).Sum(n => n.Ranks) >= demand.MinRanks);

    /// <summary>As if these places were free.</summary>
    private static IReadOnlyList<NodeCapacity> With(IReadOnlyList<NodeCapacity> nodes, IReadOnlyList<SeatPlace> left) =>
        [.. nodes.Select(node => node with { Free = Math.Min(node.Ranks, node.Free + left.Count(place => place.Silo == node.Silo)) })];

    /// <summary>
    /// Gives a run that has seats more of them, as far as there are. If it only would like them, those that wait come first: what is
    /// free is
    /// kept for the first of them, unless all nodes together could never carry it.
    /// </summary>
    public GangQueue Grow(string run, RunNeeds needs, IReadOnlyList<NodeCapacity> nodes)
    {
        if (needs.Wants <= 0 || !Leases.Runs.TryGetValue(run, out var leased) || leased.NextSeat != needs.NextSeat) return this;
        if (!needs.IsShort && First(nodes) is { } head && CouldCarry(head, nodes)) return this;
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
