using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Simulation;

/// <summary>The ranks of one generation, and what they do together: connect, adopt a state, train, part, finish.</summary>
internal sealed class SimRing(SimShared shared, Assignment assignment)
{
    private const double ConnectPatience = 6, SendPatience = 5;

    private readonly SimSeat?[] _ranks = new SimSeat?[assignment.Addresses.Count];
    private readonly HashSet<SimSeat> _updating = []; // have voted, and have not ended the update
    private bool _isUp, _isOver;
    private double? _stuckSince;
    private SimSnapshots? _snapshots;

    private World World => shared.World;

    private IEnumerable<SimSeat> Present => _ranks.OfType<SimSeat>().Where(seat => seat.Ring == this);

    /// <summary>Its ranks were frozen, or obey nobody, were given up meanwhile, and have not heard of that.</summary>
    private bool IsGhost => Present.Any() && Present.All(seat => seat.Node.WasFrozen || seat.Hangs);

    public void Enter(SimSeat seat)
    {
        _ranks[seat.Rank] = seat;
        // An end of a connection that was used up answers nobody: whoever comes under another address is not found.
        seat.Node.After(ConnectPatience, () =>
        {
            if (seat.Ring != this || _isUp) return;
            var missing = Neighbours(seat).FirstOrDefault(
                rank => _ranks[rank] is not { } peer || peer.Ring != this || !shared.CanReach(seat.Node, peer.Node), -1);
            seat.BreakOff(FaultKind.Echo, "a peer did not connect", missing < 0 ? null : missing);
        });
        if (Present.Count() == _ranks.Length) World.After(0.02, Begin);
    }

    /// <summary>A seat has left. Its neighbours see the connection end: with a goodbye, unless it died.</summary>
    public void Left(SimSeat seat, bool hasDied)
    {
        _isOver = true;
        foreach (var rank in Neighbours(seat))
        {
            if (_ranks[rank] is not { } peer || peer.Ring != this) continue;
            peer.Node.After(World.Between(0.005, 0.1), () =>
            {
                if (peer.Ring == this && peer.Phase != RankPhase.Finished)
                    peer.BreakOff(FaultKind.Echo, hasDied ? "the connection broke" : "a peer left", hasDied ? seat.Rank : null);
            });
        }
    }

    /// <summary>A seat has left as all do, at the boundary.</summary>
    public void Parted(SimSeat seat)
    {
        _isOver = true;
        _ranks[seat.Rank] = null;
    }

    private void Begin()
    {
        if (_isUp || _isOver || Present.Count() < _ranks.Length) return;
        if (BrokenEdge() is not null)
        {
            World.After(0.1, Begin); // until the patience of the ranks is over
            return;
        }
        _isUp = true;
        var source = _ranks[shared.Bug == Bug.RankZeroIsTheSource ? 0 : assignment.Source]!;
        var state = source.Whole;
        if (assignment.Shards is { } plan)
        {
            foreach (var seat in Present.ToList())
            {
                if (shared.Fetch(plan, seat, out var peer) is { } fetched)
                {
                    state = fetched;
                    continue;
                }
                seat.Node.Do(() => seat.BreakOff(FaultKind.Echo, "a part cannot be had", peer));
                return;
            }
        }
        shared.Began(assignment, [.. Present], state, IsGhost);
        foreach (var seat in Present) seat.Adopt(state, _ranks.Length, assignment.Shards?.Version);
        _snapshots = new(shared, this, [.. Present]);
        World.After(0.05, Work);
    }

    /// <summary>What comes next, for all ranks alike.</summary>
    private void Work()
    {
        if (_isOver) return;
        if (_updating.Any(seat => seat.Ring == this)) // it was frozen within its update
        {
            World.After(0.05, Work);
            return;
        }
        var stage = _ranks[0]!.State.Stage;
        switch (stage)
        {
            case TrainingStage.EvaluateBefore:
                EnterAll(RankPhase.EvaluatingBefore);
                World.After(shared.EvaluationSeconds, () => Together(() => PassAll(TrainingStage.Step)));
                break;
            case TrainingStage.Step:
                EnterAll(RankPhase.Training);
                if (shared.IsSharded) _snapshots!.Begin();
                World.After(shared.StepSeconds * World.Between(0.8, 1.2), () => Together(Tally));
                break;
            case TrainingStage.Export:
                EnterAll(RankPhase.Exporting);
                World.After(1, () => Together(() => PassAll(TrainingStage.End)));
                break;
            default:
                EnterAll(RankPhase.Finished);
                if (shared.Bug == Bug.FinishedGoes)
                    foreach (var seat in Present.ToList()) seat.Node.After(World.Between(0, 2), () => seat.Leave("has finished"));
                break;
        }
    }

    /// <summary>Does what needs all ranks as soon as all are there; who waits in vain for long breaks off.</summary>
    private void Together(Action act)
    {
        if (_isOver) return;
        var frozen = Present.Where(seat => seat.Node.IsFrozen).Select(seat => (int?)seat.Rank).FirstOrDefault();
        var edge = BrokenEdge();
        if (frozen is null && edge is null)
        {
            _stuckSince = null;
            act();
            return;
        }
        _stuckSince ??= World.Seconds;
        if (World.Seconds - _stuckSince > SendPatience)
        {
            foreach (var seat in Present.ToList())
                foreach (var peer in Neighbours(seat))
                    if (peer == frozen || (edge is { } e && (e == (seat.Rank, peer) || e == (peer, seat.Rank))))
                        seat.Node.Do(() => seat.BreakOff(FaultKind.Echo, "the connection broke", peer));
        }
        World.After(0.1, () => Together(act));
    }

    /// <summary>The vote of a step. All know its outcome; a rank that breaks off before it has begun to act on it does not.</summary>
    private void Tally()
    {
        shared.Require(assignment.Generation == shared.LastBegun || IsGhost,
            $"generation {assignment.Generation} votes after {shared.LastBegun} has begun");
        var parts = Present.Any(seat => seat.WasAskedToPart);
        Action<SimSeat> committed = shared.IsSharded ? _snapshots!.Tally() : _ => { };
        _updating.Clear();
        foreach (var seat in Present.ToList())
        {
            _updating.Add(seat);
            seat.Node.After(World.Between(0, 0.05), () =>
            {
                if (seat.Ring != this) return;
                seat.BeginUpdate();
                seat.Node.After(World.Between(0.01, 0.2), () =>
                {
                    if (seat.Ring != this) return;
                    _updating.Remove(seat);
                    seat.EndUpdate(parts, committed);
                });
            });
        }
        World.After(0.25, Work);
    }

    private void PassAll(TrainingStage stage)
    {
        foreach (var seat in Present) seat.Pass(stage);
        Work();
    }

    private void EnterAll(RankPhase phase)
    {
        foreach (var seat in Present.Where(seat => seat.Phase != phase).ToList()) seat.Enter(phase);
    }

    private IEnumerable<int> Neighbours(SimSeat seat) => _ranks.Length == 1 ? []
        : ((int[])[(seat.Rank + 1) % _ranks.Length, (seat.Rank + _ranks.Length - 1) % _ranks.Length]).Distinct();

    private (int, int)? BrokenEdge()
    {
        foreach (var seat in Present)
            foreach (var rank in Neighbours(seat))
                if (_ranks[rank] is { } peer && !shared.CanReach(seat.Node, peer.Node)) return (seat.Rank, rank);
        return null;
    }
}
