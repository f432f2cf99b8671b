using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Grains.Queue;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>The cluster's front desk with one run: the real book of nodes and the real queue, and a tick each second.</summary>
internal sealed class SimDesk
{
    public const string Run = "run";

    private readonly SimShared _shared;
    private readonly IReadOnlyList<SimNode> _silos;
    private readonly NodeBook _book;
    private GangQueue _queue;
    private bool _isTending, _hasDrained;

    /// <param name="silos">All that there ever were.</param>
    public SimDesk(SimShared shared, IReadOnlyList<SimNode> silos, RankDemand demand)
    {
        (_shared, _silos, _queue) = (shared, silos, GangQueue.Empty.Enqueue(demand));
        _book = new(IsAlive, () => silos.Where(silo => silo.IsUp).Select(silo => silo.Silo), shared.World);
        shared.World.Every(1, () =>
        {
            Tick();
            return !IsReleased;
        });
    }

    /// <summary>How long after its death a silo is believed to be alive.</summary>
    public double BelievesFor { get; set; } = 1.5;

    public ImmutableSortedSet<string> Draining { get; set; } = [];

    /// <summary>Another run waits for what this one has, and it is to yield if it is short.</summary>
    public bool AnotherWaits { get; set; }

    /// <summary>A run of higher priority waits, and is to have what this one has above its least.</summary>
    public bool Recalls { get; set; }

    public Dictionary<string, double> DiedAt { get; } = [];

    public bool IsReleased => !_queue.Knows(Run);

    public void Hear(NodeInfo node) => _book.Hear(node);

    private bool IsAlive(string silo) =>
        _silos.Any(s => s.Silo == silo) && (!DiedAt.TryGetValue(silo, out var died) || _shared.World.Seconds < died + BelievesFor);

    private void Tick()
    {
        if (!AnotherWaits && !Recalls && _book.IsComplete && _queue.LeaseNext(Capacities()) is { Lease: not null } next)
            _queue = next.Queue;
        if (_isTending || !_queue.Leases.Runs.TryGetValue(Run, out var leased)) return;
        _isTending = true;
        _hasDrained |= !Draining.IsEmpty || Recalls; // a node that is taken back has more seats than are wanted
        _shared.World.After(3, () => _isTending = false); // an answer that was lost
        var tending = new Tending(leased.ToLease(), Lost(leased), [.. Draining.Select(node => new DrainingNode(node, InHurry: false))],
            AnotherWaits, Recalls ? leased.Seats.Select(place => place.Seat).Order().Skip(leased.Demand.MinRanks).ToHashSet() : null);
        _shared.World.Send(() => _shared.Run!.Tend(tending, needs => _shared.World.Send(() => Adjust(needs))));
    }

    private void Adjust(RunNeeds needs)
    {
        _isTending = false;
        if (!_queue.Leases.Runs.TryGetValue(Run, out var leased)) return;
        _book.Occupy(Run, leased.Seats.Where(place => needs.Final is not null || needs.GivenUp.Contains(place.Seat)));
        if (needs.Final is not null)
        {
            _queue = _queue.Release(Run);
            return;
        }
        if (needs.HasYielded && leased.NextSeat == needs.NextSeat)
        {
            _queue = _queue.Yield(Run);
            return;
        }
        _queue = _queue.GiveUp(Run, needs.GivenUp);
        if (!Recalls)
            _queue = _queue.Grow(Run, _shared.Bug == Bug.OldAnswersCount ? needs with { NextSeat = leased.NextSeat } : needs, Capacities());
        var run = _shared.Run!.Stored;
        var staying = _queue.Leases.Runs[Run].Seats.Count(place => run.Seats.ContainsKey(place.Seat) || place.Seat >= run.NextSeat);
        _shared.Require(staying <= leased.Demand.MaxRanks || !Draining.IsEmpty || _hasDrained, $"the run has {staying} seats");
    }

    private IReadOnlyList<NodeCapacity> Capacities() => _book.Capacities(_queue.Leases, Draining);

    private IReadOnlyList<LostSilo> Lost(Leased leased)
    {
        if (_shared.Bug == Bug.LossesAreNotTold) return [];
        return [.. from place in leased.Seats.DistinctBy(place => place.Silo)
                   let reason = _book.LossOf(place)
                   where reason is not null
                   select new LostSilo(place.Silo, reason)];
    }
}
