using Phi3VCluster.Training;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>What all parts of a simulation see, and the rules that must never be broken.</summary>
internal sealed class SimShared(World world, Bug bug)
{
    private readonly Dictionary<long, (string Addresses, SimRing Ring)> _rings = [];
    private readonly HashSet<(string, string)> _broken = [];
    private (StateVersion Version, IReadOnlyList<SimSeat> Ranks) _counted = (default, []);

    public World World => world;

    public Bug Bug => bug;

    public long TotalSteps { get; init; } = 20;

    public double StepSeconds { get; init; } = 0.5;

    public double EvaluationSeconds { get; init; } = 2;

    /// <summary>Ranks hold the state in parts.</summary>
    public bool IsSharded { get; init; }

    public int StepsBetweenSnapshots { get; init; } = 1;

    /// <summary>Most seconds that a part takes to the buddy.</summary>
    public double SlowestSnapshot { get; init; } = 1;

    public SimRun? Run { get; set; }

    /// <summary>All that there ever were.</summary>
    public IReadOnlyList<SimNode> Silos { get; set; } = [];

    public SimDesk? Desk { get; set; }

    /// <summary>The newest, on a disk that all nodes share.</summary>
    public SimState Checkpoint { get; private set; } = SimState.Start;

    /// <summary>The newest generation that has begun to train.</summary>
    public long LastBegun { get; private set; }

    /// <summary>Generations that have begun.</summary>
    public int Begun { get; private set; }

    /// <summary>A heartbeat is being written.</summary>
    public bool IsAskedByTheCluster { get; set; }

    public void Require(bool holds, string rule)
    {
        if (!holds) throw new BrokenRuleException(rule);
    }

    public SimRing RingOf(Assignment assignment)
    {
        var addresses = string.Join(' ', assignment.Addresses);
        if (!_rings.TryGetValue(assignment.Generation, out var known))
            _rings.Add(assignment.Generation, known = (addresses, new SimRing(this, assignment)));
        Require(known.Addresses == addresses, $"generation {assignment.Generation} was given to two sets of ranks");
        return known.Ring;
    }

    public void Break(SimNode a, SimNode b, double seconds)
    {
        _broken.Add((a.Name, b.Name));
        _broken.Add((b.Name, a.Name));
        World.After(seconds, () => _broken.RemoveWhere(edge => edge == (a.Name, b.Name) || edge == (b.Name, a.Name)));
    }

    public bool CanReach(SimNode a, SimNode b) => a == b || !_broken.Contains((a.Name, b.Name));

    public void Began(Assignment assignment, IReadOnlyList<SimSeat> ranks, SimState state, bool isGhost)
    {
        if (isGhost && assignment.Generation < LastBegun) return;
        World.Note($"generation {assignment.Generation} trains from {state.Position}: {string.Join(' ', assignment.Addresses)}");
        Require(assignment.Generation > LastBegun, $"generation {assignment.Generation} begins after {LastBegun}");
        Require(state.IsTrue, "all adopt a state that is torn or wrong");
        if (IsSharded) RequireWhatCounted(assignment, state);
        else RequireTheFurthest(assignment, ranks, state);
        LastBegun = assignment.Generation;
        Begun++;
    }

    /// <summary>A snapshot's every part is with two seats.</summary>
    public void SnapshotCounts(StateVersion version, IReadOnlyList<SimSeat> ranks)
    {
        var isOnTwoNodes = ranks.Select(seat => seat.Node).Distinct().Count() > 1;
        if (isOnTwoNodes && _counted.Version.CompareTo(version) < 0) _counted = (version, [.. ranks]);
    }

    /// <param name="peer">A rank that the seat does not reach.</param>
    /// <returns>The state that the parts are of; null where one cannot be had.</returns>
    public SimState? Fetch(ShardPlan plan, SimSeat by, out int? peer)
    {
        peer = plan.Holders.Where(holder => holder.Courier == plan.MetadataCourier && holder.Member >= 0).Select(one => (int?)one.Member)
            .FirstOrDefault();
        if (Find(plan.MetadataCourier)?.Shards.StageOf(plan.Version) is not { } stage) return null;
        SimState? state = null;
        for (var rank = 0; rank < plan.WorldSize; rank++)
        {
            var hash = plan.Holders.Where(holder => holder.Rank == rank)
                .Select(holder => Find(holder.Courier)?.Shards.PartOf(plan.Version, rank)).FirstOrDefault(part => part is not null);
            peer = plan.Holders.Where(holder => holder.Rank == rank && holder.Member >= 0).Select(one => (int?)one.Member)
                .LastOrDefault();
            if (hash is null) return null;
            Require(state is null || state.Hash == hash, $"parts of {plan.Version} are of different states");
            state = new(hash.Value, plan.Version.Step, stage, plan.Version.Generation);
        }
        return state;

        SimSeat? Find(string courier) => Silos
            .Where(silo => silo is { IsUp: true, IsFrozen: false } && CanReach(by.Node, silo))
            .SelectMany(silo => silo.Seats).FirstOrDefault(seat => !seat.HasEnded && seat.Shards.Courier == courier);
    }

    private void RequireTheFurthest(Assignment assignment, IReadOnlyList<SimSeat> ranks, SimState state)
    {
        foreach (var rank in ranks.Where(rank => rank.State.IsTrue))
            Require(state.Position.CompareTo(rank.State.Position) >= 0,
                $"generation {assignment.Generation} goes on from {state.Position}, and a rank of it has {rank.State.Position}");
        foreach (var left in Survivors().Where(seat => seat.State.IsTrue && seat.Generation > 0))
            Require(state.Position.CompareTo(left.State.Position) >= 0,
                $"seat {left.Id.Seat} is further than generation {assignment.Generation}");
    }

    /// <summary>Of a snapshot that counted nothing is lost, while the seats of one node at most are.</summary>
    private void RequireWhatCounted(Assignment assignment, SimState state)
    {
        var survivors = Survivors().ToHashSet();
        var missing = _counted.Ranks.Where(seat => seat.Node.WasFrozen || !survivors.Contains(seat))
            .Select(seat => seat.Node).Distinct().Count();
        if (missing <= 1)
            Require(state.Step >= _counted.Version.Step,
                $"generation {assignment.Generation} goes on from step {state.Step}, and {_counted.Version} counted: "
                + string.Join("; ", survivors.Select(seat => $"{seat.Id.Seat} has {seat.Shards}")));
    }

    /// <summary>Seats that the run has and could have asked: it goes on without the silent, and those that it leaves out.</summary>
    private IEnumerable<SimSeat> Survivors() => Run is null ? [] :
        from silo in Silos
        where silo.IsUp && !silo.IsFrozen
        from seat in silo.Seats
        where !seat.Hangs && !seat.HasEnded && Run.Stored.Seats.TryGetValue(seat.Id.Seat, out var known) && !known.IsSilent
        where !Run.Stored.LeftOut.ContainsKey(seat.Id.Seat)
        select seat;

    public void Keep(SimState state)
    {
        Require(state.IsTrue, "a state is kept that is torn or wrong");
        if (state.Step > Checkpoint.Step) Checkpoint = state;
    }

    /// <summary>A run has left all these seats.</summary>
    public void Yielded(IReadOnlySet<int> seats)
    {
        World.Note($"the run has yielded");
        if (IsSharded) return; // its last checkpoint has to do
        foreach (var seat in Silos.Where(silo => silo is { IsUp: true, IsFrozen: false }).SelectMany(silo => silo.Seats))
            if (seats.Contains(seat.Id.Seat) && !seat.Hangs && seat.State.IsTrue)
                Require(seat.State.Step <= Checkpoint.Step, $"step {seat.State.Step} is given away, and {Checkpoint.Step} is on the disk");
    }

    public void Committed(SimSeat seat)
    {
        Require(seat.State.IsTrue, $"step {seat.State.Step} does not follow from the one before it");
        if (seat.Rank == 0 && seat.State.Step % (IsSharded ? 20 : 5) == 0 && seat.State.Step > Checkpoint.Step) Checkpoint = seat.State;
    }
}
