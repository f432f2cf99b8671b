using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Grains.Queue;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>A run on a few nodes, and what the seed does to it.</summary>
internal sealed class Simulation
{
    private const double FaultsEnd = 40, Deadline = 600, EmptyAfter = 100;

    private readonly World _world;
    private readonly SimShared _shared;
    private readonly List<SimNode> _silos = [];
    private readonly RankLimits _limits;
    private int _faults, _seatFaults;

    private Simulation(int seed, Bug bug)
    {
        _world = new(seed);
        _shared = new(_world, bug)
        {
            TotalSteps = _world.Random.Next(5, 60),
            StepSeconds = _world.Between(0.1, 1.5),
            EvaluationSeconds = _world.Between(0, 4),
            IsSharded = _world.Chance(0.5),
            StepsBetweenSnapshots = _world.Random.Next(1, 4),
            SlowestSnapshot = _world.Between(0.1, 10),
        };
        var (nodes, capacity) = (_world.Random.Next(1, 5), _world.Random.Next(1, 3));
        var ranks = nodes * capacity;
        var min = _world.Random.Next(1, ranks + 1);
        _limits = new(min, _world.Random.Next(min, ranks + 2));
        _shared.Silos = _silos;
        _world.Lost = _world.Chance(0.5) ? _world.Between(0, 0.2) : 0;
        _world.Doubled = _world.Chance(0.5) ? 0.1 : 0;
        _world.Slowest = _world.Chance(0.3) ? 1 : 0.05;
        _shared.Run = new(_shared, _limits, silo => _silos.Find(s => s.Silo == silo && s.IsUp));
        _shared.Run.IsWritten = _world.Chance(0.05);
        if (_world.Chance(0.3)) (_shared.Run.Refused, _shared.Run.Unanswered) = (0.3, 0.1);
        for (var i = 1; i <= nodes; i++) Start($"n{i}", 1, capacity);
        _shared.Desk = new(_shared, _silos, new RankDemand(SimDesk.Run, _limits.Min, _limits.Max, "cpu"));
        for (var fault = _world.Random.Next(0, 5); fault > 0; fault--) _world.After(_world.Between(1, FaultsEnd), Hurt);
    }

    /// <returns>What was broken, with all that led to it; null if nothing was.</returns>
    public static string? Play(int seed, Bug bug = Bug.None)
    {
        var simulation = new Simulation(seed, bug);
        try
        {
            simulation.Play();
            return null;
        }
        catch (BrokenRuleException e)
        {
            return $"seed {seed}: {e.Message}\n{string.Join('\n', simulation._world.Trace)}";
        }
    }

    private void Play()
    {
        _world.Note(
            $"{_silos.Count} nodes, {_limits}, {_shared.TotalSteps} steps of {_shared.StepSeconds:0.0} s, lost {_world.Lost:0.00}");
        var run = _shared.Run!;
        _world.Run(Deadline, () => run.Stored.Phase.IsFinal && _shared.Desk!.IsReleased);
        _shared.Require(run.Stored.Phase.IsFinal, $"it has not ended: {run.Stored.Phase}");
        _shared.Require(run.Stored.Phase is RunPhase.Done || _seatFaults > 0, $"it ended as {run.Stored.Phase}");
        var allowed = (2 * _faults) + 2 + (_world.Lost > 0.05 ? 3 : 0);
        _shared.Require(_shared.Begun - 1 <= allowed, $"{_shared.Begun - 1} regroups after {_faults} faults");
        var end = _world.Seconds + EmptyAfter;
        _world.Run(end, () => _silos.TrueForAll(silo => !silo.IsUp || silo.Progress().Count + silo.Occupied().Count == 0));
        foreach (var silo in _silos.Where(silo => silo.IsUp))
            _shared.Require(silo.Progress().Count + silo.Occupied().Count == 0, $"{silo.Silo} still has seats of a run that is over");
        if (run.Stored.Phase is RunPhase.Done) _shared.Require(_shared.Checkpoint.IsTrue, "its checkpoint is wrong");
    }

    private void Start(string name, int number, int capacity) => _silos.Add(new(_shared, name, number, capacity));

    private void Hurt()
    {
        if (_shared.Run!.Stored.Phase.IsFinal) return;
        var up = _silos.Where(silo => silo.IsUp).ToList();
        var silo = up.Count > 0 ? up[_world.Random.Next(up.Count)] : null;
        var seats = silo?.Seats.Where(seat => seat.Ring is not null && !seat.HasEnded).ToList() ?? [];
        _faults++;
        switch (_world.Random.Next(10))
        {
            case 0 or 1 or 2 when silo is not null:
                _world.Note($"{silo.Silo} is killed");
                silo.Kill();
                _shared.Desk!.DiedAt[silo.Silo] = _world.Seconds;
                var next = int.Parse(silo.Silo.Split('#')[1]) + 1;
                _world.After(_world.Between(0.5, 15), () => Start(silo.Name, next, silo.Capacity));
                _faults++; // it comes back, which is another change
                break;
            case 3 when silo is not null:
                var pause = _world.Between(1, 25);
                _world.Note($"{silo.Silo} freezes for {pause:0.0} s");
                silo.Freeze(pause);
                _faults++;
                break;
            case 4 when up.Count > 1:
                var other = up.First(s => s != silo);
                _world.Note($"{silo!.Silo} and {other.Silo} do not reach each other");
                _shared.Break(silo, other, _world.Between(1, 20));
                _faults++; // whoever is left out comes back
                break;
            case 5:
                var ghost = _world.Chance(0.5) ? _world.Between(0, 10) : 0;
                _world.Note($"the coordinator starts anew, and the old one goes on for {ghost:0.0} s");
                _shared.Run.Restart(ghost);
                break;
            case 6 when seats.Count > 0:
                _world.Note($"seat {seats[0].Id.Seat} fails");
                _seatFaults++;
                seats[0].Fail(FaultKind.Seat, "it broke");
                _faults++;
                break;
            case 7 when seats.Count > 0:
                _world.Note($"seat {seats[0].Id.Seat} obeys nobody");
                seats[0].Hangs = true;
                _faults++;
                break;
            case 9:
                _world.Note($"another run waits");
                _shared.Desk!.AnotherWaits = true;
                _world.After(_world.Between(5, 30), () => _shared.Desk.AnotherWaits = false);
                _faults++;
                break;
            case 8 when _world.Chance(0.5):
                _world.Note($"a run of higher priority waits");
                _shared.Desk!.Recalls = true;
                _world.After(_world.Between(5, 30), () => _shared.Desk.Recalls = false);
                _faults++; // what it gave it has again, which is another change
                break;
            case 8 when up.Count > 1:
                _world.Note($"{silo!.Name} drains");
                _shared.Desk!.Draining = _shared.Desk.Draining.Add(silo.Name);
                _world.After(_world.Between(5, 30), () => _shared.Desk.Draining = _shared.Desk.Draining.Remove(silo.Name));
                _faults++;
                break;
        }
    }
}
