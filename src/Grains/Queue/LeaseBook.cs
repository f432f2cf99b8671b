using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Queue;

/// <summary>What a run has of the cluster.</summary>
/// <param name="NextSeat">Number of the next seat that it gets; none is used twice.</param>
internal sealed record Leased(RankDemand Demand, string Device, ImmutableList<SeatPlace> Seats, int NextSeat)
{
    public Lease ToLease() => new(Demand.Run, Seats, Device);

    public Leased Add(IEnumerable<NodeCapacity> places)
    {
        var added = places.Select((node, i) => new SeatPlace(NextSeat + i, node.Node, node.Silo)).ToList();
        return this with { Seats = Seats.AddRange(added), NextSeat = NextSeat + added.Count };
    }
}

/// <summary>Who has which seats. They come a gang at a time, and then one by one: a run gives seats up and is given others.</summary>
internal sealed record LeaseBook(ImmutableSortedDictionary<string, Leased> Runs)
{
    public static LeaseBook Empty { get; } = new(ImmutableSortedDictionary<string, Leased>.Empty);

    public bool Knows(string run) => Runs.ContainsKey(run);

    public LeaseBook Open(RankDemand demand, string device, IEnumerable<NodeCapacity> places) =>
        new(Runs.Add(demand.Run, new Leased(demand, device, [], demand.FirstSeat).Add(places)));

    public LeaseBook Grow(string run, IEnumerable<NodeCapacity> places) => new(Runs.SetItem(run, Runs[run].Add(places)));

    /// <summary>The run does not have these seats any more; who is not told so has them still.</summary>
    public LeaseBook GiveUp(string run, IReadOnlyCollection<int> seats) => Runs.TryGetValue(run, out var leased) && seats.Count > 0
        ? new(Runs.SetItem(run, leased with { Seats = leased.Seats.RemoveAll(place => seats.Contains(place.Seat)) }))
        : this;

    public LeaseBook Close(string run) => new(Runs.Remove(run));

    /// <summary>Runs that have seats on a silo, and which.</summary>
    public IReadOnlyList<(string Run, IReadOnlyList<int> Seats)> On(string silo) =>
    [
        .. Runs.Select(run => (run.Key, Seats: (IReadOnlyList<int>)[.. run.Value.Seats.Where(p => p.Silo == silo).Select(p => p.Seat)]))
            .Where(run => run.Seats.Count > 0),
    ];
}
