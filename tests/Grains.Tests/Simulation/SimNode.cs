using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>A silo of a simulated node with its seats, which may be killed and frozen. The node's next silo is another one.</summary>
internal sealed class SimNode : IRankWorkers
{
    private readonly Dictionary<SeatId, SimSeat> _seats = [];
    private readonly HashSet<SeatId> _forgotten = [];
    private readonly List<SimSeat> _leaving = [];
    private readonly DateTimeOffset _startedAt;
    private long _reports;
    private double _frozenUntil;
    private bool _reportsSoon;

    public SimNode(SimShared shared, string name, int number, int capacity)
    {
        (Shared, Name, Capacity) = (shared, name, capacity);
        (Silo, _startedAt) = ($"{name}#{number}", shared.World.Now);
        shared.World.Every(1, () =>
        {
            if (!IsUp) return false;
            Do(Report);
            return true;
        });
        shared.World.Every(2, () =>
        {
            if (!IsUp) return false;
            Do(Beat);
            return true;
        });
    }

    public event Action? ReportSoon;

    public SimShared Shared { get; }

    public string Name { get; }

    public string Silo { get; }

    public int Capacity { get; }

    public string Device => "cpu";

    public bool IsUp { get; private set; } = true;

    public bool IsFrozen => Shared.World.Seconds < _frozenUntil;

    public bool WasFrozen { get; private set; }

    public IEnumerable<SimSeat> Seats => _seats.Values;

    public bool Holds(SimSeat seat) => IsUp && _seats.ContainsValue(seat);

    public void Kill()
    {
        IsUp = false;
        foreach (var seat in _seats.Values) seat.Die();
    }

    public void Freeze(double seconds) => (_frozenUntil, WasFrozen) = (Math.Max(_frozenUntil, Shared.World.Seconds + seconds), true);

    /// <summary>What the silo does of itself, unless it is dead; if it is frozen, when it thaws.</summary>
    public void Do(Action act)
    {
        if (!IsUp) return;
        if (IsFrozen) Shared.World.After(_frozenUntil - Shared.World.Seconds + 0.001, () => Do(act));
        else act();
    }

    public void After(double seconds, Action act) => Shared.World.After(seconds, () => Do(act));

    public void ReportNow()
    {
        ReportSoon?.Invoke();
        if (_reportsSoon) return;
        _reportsSoon = true;
        After(0.005, () =>
        {
            _reportsSoon = false;
            Report();
        });
    }

    public bool Take(SeatId id, long version, SeatOrder order)
    {
        if (_forgotten.Contains(id)) return false;
        if (_seats.TryGetValue(id, out var known)) return known.Sees(version) && !known.HasEnded;
        var seat = new SimSeat(this, id, version);
        _seats.Add(id, seat);
        // A silo that thaws may hear of a new seat and of one that was given up meanwhile: the second waits for the first one's device.
        Shared.Require(Occupied().Count <= Capacity || WasFrozen, $"{Name} has {Occupied().Count} seats on {Capacity} devices");
        seat.Load(Shared.World.Between(0.2, 4));
        ReportNow();
        return true;
    }

    public bool Join(SeatId id, long version, Assignment assignment) => Order(id, version, seat => seat.Join(assignment));

    public bool Part(SeatId id, long version, long generation) => Order(id, version, seat =>
    {
        if (!seat.IsIn(generation)) return false;
        seat.AskToPart();
        return true;
    });

    public bool Break(SeatId id, long version, long generation, string reason) => Order(id, version, seat =>
    {
        if (!seat.IsIn(generation)) return false;
        seat.BreakOff(FaultKind.None, null, null);
        return true;
    });

    public bool Keep(SeatId id, long version) => Order(id, version, seat => seat.Keep());

    public bool Leave(SeatId id, long version, string reason) => Order(id, version, seat =>
    {
        seat.Leave(reason);
        return true;
    });

    public void Answered(SeatId id)
    {
        // What it parks for is a boundary like any other.
    }

    public IReadOnlyList<RankProgress> Progress() => [.. _seats.Values.Select(seat => seat.Progress)];

    public IReadOnlyList<SeatId> Occupied() => Shared.Bug == Bug.OccupiedIsFree && Shared.IsAskedByTheCluster
        ? [.. _seats.Values.Where(seat => !seat.HasEnded).Select(seat => seat.Id)]
        : [.. _seats.Values.Concat(_leaving).Where(seat => !seat.HasLeft).Select(seat => seat.Id).Distinct()];

    public void Forget(SeatId id)
    {
        _forgotten.Add(id);
        if (!_seats.Remove(id, out var seat)) return;
        seat.Leave("forgotten");
        _leaving.Add(seat);
    }

    private bool Order(SeatId id, long version, Func<SimSeat, bool> obey) =>
        _seats.TryGetValue(id, out var seat) && seat.Sees(version) && obey(seat);

    private void Report()
    {
        if (_seats.Count == 0 || Shared.Run is null) return;
        var seats = Progress();
        var report = new NodeReport(Silo, ++_reports, [.. seats.Select(SeatReport.Of)]);
        Shared.World.Send(() => Shared.Run.Report(report, reply => Shared.World.Send(() => Do(() => Obey(seats, reply)))));
    }

    private void Obey(IReadOnlyList<RankProgress> seats, ReportReply reply)
    {
        foreach (var seat in seats)
        {
            if (SeatReport.HasEnded(seat)) Forget(seat.Id);
            else if (reply.Stale.Contains(seat.Id.Seat) && Shared.Bug != Bug.StaleSeatsAreNotTold) Leave(seat.Id, reply.Version, "stale");
        }
    }

    private void Beat()
    {
        Shared.IsAskedByTheCluster = true;
        var occupied = Occupied();
        Shared.IsAskedByTheCluster = false;
        var node = new NodeInfo
        {
            Node = Name,
            Silo = Silo,
            ProcessId = 1,
            Ranks = Capacity,
            Device = Device,
            StartedAt = Shared.Bug == Bug.LateHeartbeatsCount ? default : _startedAt,
            Occupied = [.. occupied.Select(s => new OccupiedSeat(s.Run, s.Seat))],
        };
        Shared.World.Send(() => Shared.Desk?.Hear(node));
    }
}
