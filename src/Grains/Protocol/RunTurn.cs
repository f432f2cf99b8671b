using System.Collections.Immutable;
using System.Diagnostics;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Runs;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>
/// One event at work on a run's state. First it is taken in, then the state settles: a generation that nobody is left in has parted, parked
/// seats make the next, and so on until nothing more follows.
/// </summary>
internal sealed partial class RunTurn(Rendezvous run, Heard heard, DateTimeOffset now, RunTimings timings)
{
    private readonly Rendezvous _before = run;
    private readonly List<RunCommand> _commands = [];
    private readonly List<int> _stale = [];
    private Rendezvous _run = run;
    private Heard _heard = heard;
    private Dictionary<int, int>? _ranks; // of seats in the newest generation

    public Decision Decide() => new(
        ReferenceEquals(_run, _before) ? _run : _run with { Version = _before.Version + 1 }, _heard, [.. _commands], [.. _stale]);

    public void Take(RunEvent happened)
    {
        switch (happened)
        {
            case RunEvent.Tended e: TakeTended(e); break;
            case RunEvent.SilosLost e: TakeLost(e.Lost); break;
            case RunEvent.Reported e: TakeReports(e); break;
            case RunEvent.Tick: TakeTick(); break;
            case RunEvent.CancelRequested: TakeCancel(); break;
            case RunEvent.Reactivated: TakeReactivated(); break;
            case RunEvent.Resumed e: TakeResumed(e.Limits); break;
            default: throw new UnreachableException(happened.GetType().Name); // a new event must decide here
        }
        Settle();
    }

    private void Settle()
    {
        for (RunPhase? phase = null; !ReferenceEquals(phase, _run.Phase);)
        {
            phase = _run.Phase;
            switch (phase)
            {
                case RunPhase.Gathering gathering: FormWhenReady(gathering); break;
                case RunPhase.Running running: LookForBoundary(running); break;
                case RunPhase.Parting { Remaining.IsEmpty: true } parting: EndParting(parting); break;
                case RunPhase.Stopping stopping when _run.Seats.IsEmpty: Finish(stopping.Final); break;
            }
        }
    }

    private void TakeTended(RunEvent.Tended e)
    {
        if (_run.Phase is RunPhase.Stopping || _run.Phase.IsFinal)
        {
            TakeLost(e.Lost);
            return;
        }
        var draining = e.Draining.ToImmutableSortedDictionary(node => node.Node, node => node.InHurry);
        if (!draining.SequenceEqual(_run.Draining)) _run = _run with { Draining = draining };
        var recalled = e.Recalled is null ? [] : e.Recalled.ToImmutableSortedSet();
        if (!recalled.SetEquals(_run.Recalled)) _run = _run with { Recalled = recalled };
        List<Seat> added = [.. e.Seats.Where(place => place.Seat >= _run.NextSeat).Select(p => new Seat(p.Seat, p.Node, p.Silo))];
        if (added.Count > 0) AddSeats(added);
        TakeLost(e.Lost);
        if (e.Yields) Yield();
    }

    private void AddSeats(IReadOnlyList<Seat> added)
    {
        var isFirst = _run.Phase is RunPhase.Queued;
        _run = _run with
        {
            Seats = _run.Seats.AddRange(added.Select(seat => KeyValuePair.Create(seat.Number, seat))),
            NextSeat = added.Max(seat => seat.Number) + 1,
            Phase = isFirst ? new RunPhase.Gathering(_run.Generation == 0 ? "start" : "resume", IsFirst: true, now, now, []) : _run.Phase,
        };
        var nodes = string.Join(", ", added.GroupBy(seat => seat.Node).Select(group => $"{group.Count()} on {group.Key}"));
        Log(isFirst ? $"takes {Seats(added.Count)}: {nodes}" : $"takes {added.Count} more: {nodes}");
        _heard = _heard with { TakeAgainAt = now + timings.AskAgain };
        foreach (var seat in added) _commands.Add(new RunCommand.Take(seat));
    }

    private void TakeLost(IReadOnlyList<LostSilo> lost)
    {
        foreach (var (silo, reason) in lost)
        {
            var gone = _run.Seats.Values.Where(seat => seat.Silo == silo).ToList();
            if (gone.Count == 0) continue;
            Log(reason);
            Lose(gone, reason.Split(':')[0]);
        }
    }

    /// <summary>The run is without these seats from now on.</summary>
    /// <param name="why">In a few words.</param>
    private void Lose(IReadOnlyCollection<Seat> seats, string why, Fault? fault = null)
    {
        var wasMember = seats.Any(seat => RankOf(seat.Number) is not null);
        Drop(seats.Select(seat => seat.Number));
        var faults = fault is null ? ImmutableList<Fault>.Empty : [fault];
        if (!wasMember) return;
        var kind = fault is null ? BreakupKind.Loss : BreakupKind.Fault;
        if (_run.Phase is RunPhase.Running)
        {
            BreakOff(Breakup.Of(kind, why) with { Faults = faults });
        }
        else if (_run.Phase is RunPhase.Parting parting)
        {
            // Whoever is lost meanwhile is the cause: the others' echoes came first because they ran.
            var breakup = parting.Breakup with { Faults = parting.Breakup.Faults.AddRange(faults) };
            if (kind > breakup.Kind) breakup = breakup with { Kind = kind, Why = why };
            _run = _run with { Phase = parting with { Breakup = breakup } };
            if (!parting.IsBroken) BreakRemaining(why);
        }
    }

    /// <summary>Forgets seats, wherever they are counted.</summary>
    private void Drop(IEnumerable<int> seats)
    {
        List<int> gone = [.. seats];
        _run = _run with { Seats = _run.Seats.RemoveRange(gone), LeftOut = _run.LeftOut.RemoveRange(gone) };
        _heard = _heard with { Seats = _heard.Seats.RemoveRange(gone) };
        if (_run.Phase is RunPhase.Parting parting)
            _run = _run with { Phase = parting with { Remaining = parting.Remaining.Except(gone) } };
    }

    /// <summary>Gives seats back: they are told so, and their reports are answered so from now on.</summary>
    private void GiveUp(IReadOnlyCollection<Seat> seats, string reason)
    {
        foreach (var seat in seats) _commands.Add(new RunCommand.Leave(seat, reason));
        Drop(seats.Select(seat => seat.Number));
    }

    private void TakeTick()
    {
        if (_run.Phase.IsFinal) return;
        var takes = _run.Phase is not RunPhase.Queued and not RunPhase.Stopping;
        if (takes && now >= _heard.TakeAgainAt)
        {
            _heard = _heard with { TakeAgainAt = now + timings.AskAgain };
            foreach (var seat in _run.Seats.Values.Where(seat => _heard.Of(seat.Number) is null)) _commands.Add(new RunCommand.Take(seat));
        }
        RefuseWhoeverHangs();
        GiveUpWhoeverStrays();
        switch (_run.Phase)
        {
            case RunPhase.Running running: TickRunning(running); break;
            case RunPhase.Parting parting: TickParting(parting); break;
            case RunPhase.Stopping stopping when now >= stopping.Deadline:
                Log($"no answer from {Names(_run.Seats.Values)}");
                Finish(stopping.Final);
                break;
        }
    }

    private void TakeReactivated()
    {
        _heard = Heard.Nothing(now) with { TakeAgainAt = now + timings.AskAgain }; // reports come first, and say more
        if (_run.Phase is RunPhase.Running or RunPhase.Parting) _heard = _heard with { Stall = _heard.Stall.Begin(MemberNodes(), now) };
        if (_run.Phase.IsFinal) _commands.Add(new RunCommand.Release());
    }

    private void TakeResumed(RankLimits limits)
    {
        if (!_run.Phase.IsFinal) return;
        _run = Rendezvous.New(limits) with
        {
            Version = _run.Version,
            Generation = _run.Generation,
            NextSeat = _run.NextSeat,
            History = _run.History,
        };
        _heard = Heard.Nothing(now);
    }

    private void TakeCancel()
    {
        if (_run.Phase is RunPhase.Stopping || _run.Phase.IsFinal) return;
        Stop(new RunPhase.Cancelled(), "the run was cancelled", []);
    }

    /// <summary>The run ends by a fault that the next generation would meet too.</summary>
    private void Fail(ImmutableList<Fault> faults) =>
        Stop(new RunPhase.Failed(Fault.Fold(faults)), $"stopped, because {Fault.Fold(faults)}", faults);

    private void Stop(RunPhase final, string reason, ImmutableList<Fault> faults)
    {
        if (_run.Seats.IsEmpty)
        {
            Finish(final);
            return;
        }
        Log("stopping");
        _run = _run with { Phase = new RunPhase.Stopping(final, faults, now + timings.Stop) };
        foreach (var seat in _run.Seats.Values) _commands.Add(new RunCommand.Leave(seat, reason));
    }

    private void Finish(RunPhase final)
    {
        Log(final is RunPhase.Failed failed ? $"failed: {failed.Error}" : final is RunPhase.Done ? "done" : "cancelled");
        foreach (var seat in final is RunPhase.Done ? _run.Seats.Values : []) _commands.Add(new RunCommand.Leave(seat, "the run is done"));
        _run = _run with { Phase = final, Seats = _run.Seats.Clear(), LeftOut = _run.LeftOut.Clear() };
        _commands.Add(new RunCommand.Release());
    }

    private int? RankOf(int seat)
    {
        if (_ranks is null)
        {
            _ranks = new(_run.Members.Length);
            for (var rank = 0; rank < _run.Members.Length; rank++) _ranks[_run.Members[rank].Seat] = rank;
        }
        return _ranks.TryGetValue(seat, out var own) ? own : null;
    }

    /// <summary>Members that the run still has.</summary>
    private IEnumerable<Seat> MemberSeats()
    {
        foreach (var member in _run.Members)
            if (_run.Seats.TryGetValue(member.Seat, out var seat)) yield return seat;
    }

    private IEnumerable<string> MemberNodes() => MemberSeats().Select(seat => seat.Node);

    private string Name(Seat seat)
    {
        if (RankOf(seat.Number) is not { } rank) return seat.ToString();
        var device = _heard.Of(seat.Number)?.Report.Device is { } index ? $", cuda:{index}" : "";
        return $"rank {rank} ({seat.Node}{device})";
    }

    private string Names(IEnumerable<Seat> seats) => string.Join(", ", seats.Select(Name));

    private static string Seats(int count) => count == 1 ? "1 seat" : $"{count} seats";

    private void Log(string text) => _commands.Add(new RunCommand.Log(text));
}
