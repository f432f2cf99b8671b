using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Queue;

/// <summary>
/// Who waits for seats and who has them. The highest priority first, and within one first come, first served: a small run that slipped
/// past would starve a large one. Only a run that needs more than all nodes have is passed, as long as it does. A run that has begun and
/// cannot go on without more seats came before all that wait with no higher priority; but where it cannot have them, it leaves what it has
/// to a run that can do with it, and waits at the head of its priority. What runs have above their least is recalled for a run of a higher
/// one, whether it waits or is short.
/// </summary>
/// <param name="Waiting">The next first.</param>
internal sealed record GangQueue(ImmutableList<RankDemand> Waiting, LeaseBook Leases)
{
    public static GangQueue Empty { get; } = new(ImmutableList<RankDemand>.Empty, LeaseBook.Empty);

    public bool Knows(string run) => Leases.Knows(run) || Waiting.Exists(d => d.Run == run);

    /// <summary>What a run that waits, or has seats, asked for.</summary>
    public RankDemand? DemandOf(string run) =>
        Leases.Runs.TryGetValue(run, out var leased) ? leased.Demand : Waiting.Find(d => d.Run == run);

    public GangQueue Enqueue(RankDemand demand) =>
        Knows(demand.Run) ? this : this with { Waiting = Insert(demand, other => other.Priority < demand.Priority) };

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
        var demand = leased.Demand with { FirstSeat = leased.NextSeat, HasYielded = true };
        return new(Insert(demand, other => other.Priority <= demand.Priority), Leases.Close(run));
    }

    private ImmutableList<RankDemand> Insert(RankDemand demand, Predicate<RankDemand> before) =>
        Waiting.FindIndex(before) is var at and >= 0 ? Waiting.Insert(at, demand) : Waiting.Add(demand);

    /// <summary>
    /// Which of the runs that are short is to leave its seats: of those that cannot be filled the one of the lowest priority, and of these
    /// the youngest, if what such runs have, with what is free, is enough for a run that waits, or for one of them that goes before.
    /// </summary>
    /// <param name="shorts">Have been short for long enough.</param>
    /// <returns>Null where nobody gains by it.</returns>
    public string? WhoYields(IEnumerable<string> shorts, IReadOnlyList<NodeCapacity> nodes)
    {
        List<Leased> last =
        [
            .. shorts.Select(run => Leases.Runs[run]).Where(run => !IsOwed(run, run.Seats.Count, [], nodes))
                .OrderBy(run => run.Demand.Priority).ThenByDescending(run => run.Demand.SubmittedAt)
                .ThenBy(run => run.Demand.Run, StringComparer.Ordinal),
        ];
        var (after, left) = (this, nodes);
        for (var count = 1; count <= last.Count; count++)
        {
            (after, left) = (after.Yield(last[count - 1].Demand.Run), With(left, last[count - 1].Seats));
            var isFilled = last.Skip(count).Any(run => after.IsOwed(run, run.Seats.Count, [], left));
            var begins = after.LeaseNext(left).Lease is { } lease && !last.Exists(run => run.Demand.Run == lease.Demand.Run);
            if (isFilled || begins) return last[0].Demand.Run;
        }
        return null;
    }

    /// <summary>
    /// Seats that their runs are to give back for one of a higher priority, which is next in the queue or has lost seats that it cannot do
    /// without: what the runs of the lowest have above their least, the youngest seats first, and none where even that is not enough. A
    /// seat that its run has given up and whose thread has not ended is on its way already.
    /// </summary>
    /// <returns>The numbers of the seats, by run.</returns>
    public ImmutableSortedDictionary<string, ImmutableSortedSet<int>> Recalled(IReadOnlyList<NodeCapacity> nodes) =>
        RecallFor(nodes).Seats;

    private (string? For, ImmutableSortedDictionary<string, ImmutableSortedSet<int>> Seats) RecallFor(IReadOnlyList<NodeCapacity> nodes)
    {
        foreach (var (demand, kind, missing) in Claims(nodes))
        {
            var fitting = nodes.Where(node => node.Has(kind)).ToList();
            var recalled = Spare(nodes, fitting, demand.Priority).Take(missing).ToList();
            if (recalled.Count < missing) continue;
            var runs = recalled.GroupBy(one => one.Run, one => one.Seat);
            return (demand.Run, runs.ToImmutableSortedDictionary(run => run.Key, run => run.ToImmutableSortedSet()));
        }
        return (null, ImmutableSortedDictionary<string, ImmutableSortedSet<int>>.Empty);
    }

    /// <summary>Who may have seats recalled, and how many of which kind beside those that are free: the highest priority first.</summary>
    private IEnumerable<(RankDemand Demand, string Kind, int Missing)> Claims(IReadOnlyList<NodeCapacity> nodes)
    {
        var shorts = Leases.Runs.Values.Select(leased => (
            leased.Demand, Kind: leased.Device, Ranks: leased.Demand.MinRanks - OnThese(nodes, leased).Count));
        var first = First(nodes) is { } next ? next.Kinds().Select(kind => (Demand: next, Kind: kind, Ranks: next.MinRanks)) : [];
        return from claim in shorts.Where(run => run.Ranks > 0).Concat(first)
               orderby claim.Demand.Priority descending
               let free = nodes.Where(node => node.Has(claim.Kind))
                   .Sum(node => Math.Max(0, node.Ranks - Leases.On(node.Silo).Sum(run => run.Seats.Count)))
               select (claim.Demand, claim.Kind, Math.Max(0, claim.Ranks - free));
    }

    /// <summary>What runs of a lower priority have above their least on some of the nodes, in the order in which it is recalled.</summary>
    private IEnumerable<(string Run, int Seat)> Spare(
        IReadOnlyList<NodeCapacity> nodes, IReadOnlyList<NodeCapacity> fitting, int priority) =>
        from leased in Leases.Runs.Values
        where leased.Demand.Priority < priority
        orderby leased.Demand.Priority, leased.Demand.SubmittedAt descending, leased.Demand.Run
        let staying = OnThese(nodes, leased)
        from place in staying.Where(place => fitting.Any(node => node.Silo == place.Silo))
            .OrderByDescending(place => place.Seat).Take(Math.Max(0, staying.Count - leased.Demand.MinRanks))
        select (leased.Demand.Run, place.Seat);

    private static List<SeatPlace> OnThese(IReadOnlyList<NodeCapacity> nodes, Leased leased) =>
        [.. leased.Seats.Where(place => nodes.Any(node => node.Silo == place.Silo))];

    /// <summary>The next that gets seats: the first of those that these nodes could carry.</summary>
    private RankDemand? First(IReadOnlyList<NodeCapacity> nodes) => Waiting.Find(demand => CouldCarry(demand, nodes));

    /// <summary>Whether all nodes together could, if nobody else had any of them.</summary>
    private static bool CouldCarry(RankDemand demand, IReadOnlyList<NodeCapacity> nodes) =>
        demand.Kinds().Any(kind => nodes.Where(n => n.Has(kind)).Sum(n => n.Ranks) >= demand.MinRanks);

    /// <summary>As if these places were free.</summary>
    private static IReadOnlyList<NodeCapacity> With(IReadOnlyList<NodeCapacity> nodes, IReadOnlyList<SeatPlace> left) =>
        [.. nodes.Select(node => node with { Free = Math.Min(node.Ranks, node.Free + left.Count(place => place.Silo == node.Silo)) })];

    /// <summary>
    /// Gives a run that has seats more of them, as far as there are. If it only would like them, or its priority is lower, those that wait
    /// come first: what is free is kept for them.
    /// </summary>
    public GangQueue Grow(string run, RunNeeds needs, IReadOnlyList<NodeCapacity> nodes)
    {
        if (needs.Wants <= 0 || !Leases.Runs.TryGetValue(run, out var leased) || leased.NextSeat != needs.NextSeat) return this;
        if (First(nodes) is { } first && !(needs.IsShort && first.Priority <= leased.Demand.Priority)) return this;
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
    public bool IsOwed(Leased leased, int live, IReadOnlyCollection<string> refusing, IReadOnlyList<NodeCapacity> nodes)
    {
        var missing = leased.Demand.MinRanks - live;
        return missing > 0 && !(First(nodes)?.Priority > leased.Demand.Priority)
            && nodes.Where(node => node.Has(leased.Device) && !refusing.Contains(node.Silo)).Sum(node => node.Free) >= missing;
    }

    /// <summary>Why a waiting run waits, e.g. "4 ranks; the cluster has 2, 2 of them free".</summary>
    public string WaitingFor(RankDemand demand, IReadOnlyList<NodeCapacity> nodes)
    {
        var ahead = Waiting.TakeWhile(d => d.Run != demand.Run).Count(d => CouldCarry(d, nodes));
        if (ahead > 0 && CouldCarry(demand, nodes)) return $"{(ahead == 1 ? "the run" : $"{ahead} runs")} ahead of it in the queue";
        var recall = RecallFor(nodes);
        var recalled = recall.For == demand.Run ? recall.Seats.Values.Sum(seats => seats.Count) : 0;
        var fitting = demand.Kinds().Select(kind => nodes.Where(n => n.Has(kind)).ToList()).MaxBy(list => list.Sum(n => n.Ranks))!;
        var kind = demand.Device == "auto" ? "" : $"{demand.Device} ";
        var holders = fitting.SelectMany(n => Leases.On(n.Silo)).Select(lease => lease.Run).Distinct().ToList();
        return $"{demand.MinRanks} {kind}{(demand.MinRanks == 1 ? "rank" : "ranks")}; "
            + $"the cluster has {fitting.Sum(n => n.Ranks)}, {fitting.Sum(n => n.Free)} of them free"
            + (holders.Count > 0 ? $", leased to {string.Join(", ", holders)}" : "")
            + (recalled > 0 ? $"; {recalled} of them recalled for it" : "");
    }
}
