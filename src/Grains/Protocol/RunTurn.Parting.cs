using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <content>How a generation ends.</content>
internal sealed partial class RunTurn
{
    /// <summary>Ends the generation at once: all that are still in it are told to.</summary>
    private void BreakOff(Breakup breakup)
    {
        StartParting(breakup, isBroken: true);
        TellToBreak(breakup.Why);
    }

    private void StartParting(Breakup breakup, bool isBroken)
    {
        var remaining = _run.Members
            .Where(member => _run.Seats.TryGetValue(member.Seat, out var seat) && !seat.IsSilent && !HasLeft(member))
                .Select(member => member.Seat);
        var deadline = now + (isBroken ? timings.Park : timings.Part);
        _run = _run with { Phase = new RunPhase.Parting([.. remaining], breakup, isBroken, now, deadline) };
    }

    /// <summary>Whether a member has parked, or could not join at all: the address that it has opened since is another.</summary>
    private bool HasLeft(Member member) => _heard.Of(member.Seat) is { Report: { Phase: ReportedPhase.Parked, Offer: { } offer } report }
        && (report.Generation >= _run.Generation || offer.Address != member.Address);

    /// <summary>A generation that was to part by itself is broken off after all.</summary>
    private void BreakRemaining(string why)
    {
        var parting = (RunPhase.Parting)_run.Phase;
        _run = _run with { Phase = parting with { IsBroken = true, Deadline = now + timings.Park } };
        TellToBreak(why);
    }

    private void TellToBreak(string why)
    {
        foreach (var seat in ((RunPhase.Parting)_run.Phase).Remaining)
            _commands.Add(new RunCommand.Break(_run.Seats[seat], _run.Generation, why));
    }

    private void TickParting(RunPhase.Parting parting)
    {
        var (silent, why) = FallenSilent(parting.Remaining.Select(seat => _run.Seats[seat]));
        if (silent.Count > 0)
        {
            var breakup = parting.Breakup;
            if (breakup.Kind < BreakupKind.Stall) breakup = breakup with { Kind = BreakupKind.Stall, Why = why };
            parting = parting with { Remaining = parting.Remaining.Except(silent.Select(seat => seat.Number)), Breakup = breakup };
            _run = _run with { Phase = parting };
        }
        if (now < parting.Deadline || parting.Remaining.IsEmpty) return;
        if (!parting.IsBroken)
        {
            BreakRemaining("the others have parted");
            return;
        }
        List<Seat> late = [.. parting.Remaining.Select(seat => _run.Seats[seat])];
        Log($"{Names(late)} did not park in {timings.Park.TotalSeconds:0} s and {(late.Count == 1 ? "is" : "are")} given up");
        foreach (var seat in late) _commands.Add(new RunCommand.Leave(seat, "it did not park in time"));
        Lose(late, parting.Breakup.Kind == BreakupKind.Stall ? parting.Breakup.Why : $"{late[0].Node} did not park");
    }

    /// <summary>A seat that the run went on without is heard of again, and does not park.</summary>
    private void GiveUpWhoeverStrays()
    {
        if (_run.Phase is not (RunPhase.Gathering or RunPhase.Running)) return; // whoever parts has a deadline, whoever stops too
        List<Seat> strays =
        [
            .. _run.Seats.Values.Where(seat => _heard.Of(seat.Number)?.StraysSince is { } since && now > since + timings.Park),
        ];
        if (strays.Count == 0) return;
        Log($"{Names(strays)} did not park in {timings.Park.TotalSeconds:0} s and {(strays.Count == 1 ? "is" : "are")} given up");
        foreach (var seat in strays) _commands.Add(new RunCommand.Leave(seat, "it did not park in time"));
        Lose(strays, $"{strays[0].Node} did not park");
    }

    private void EndParting(RunPhase.Parting parting)
    {
        var parked = MemberSeats().Where(seat => _heard.IsParked(seat.Number)).ToList();
        var offers = Offers(parked);
        var reached = offers.Count == 0 ? _run.Start : RestorePlan.Of(offers, offers).Position;
        var hasProgressed = reached.CompareTo(_run.Start) > 0;
        var canSpareOne =
            _run.Seats.Values.Count(seat => _heard.IsParked(seat.Number) && !_run.IsLeftOut(seat.Number, now)) > _run.Limits.Min;
        switch (FailurePolicy.Decide(parting.Breakup, _run.Budget, hasProgressed, parked.Count, canSpareOne))
        {
            case Verdict.End end:
                Fail(end.Faults);
                break;
            case Verdict.Regroup regroup:
                _commands.Add(new RunCommand.CountRecovery(parting.Breakup.Kind));
                if (regroup.LeaveOut is { } seat) LeaveOut(seat, parting.Breakup.Edges);
                _run = _run with
                {
                    Budget = regroup.Budget,
                    Phase = new RunPhase.Gathering(parting.Breakup.Why, IsFirst: false, parting.Since, now, []),
                };
                break;
        }
    }

    /// <summary>The next generation is made without a seat whose connections broke. It is let in again, later each time.</summary>
    private void LeaveOut(int number, ImmutableList<Edge> edges)
    {
        if (!_run.Seats.TryGetValue(number, out var seat)) return;
        var edge = edges.Find(e => e.From == number || e.To == number)!;
        var other = edge.From == number ? edge.To : edge.From;
        var text = $"{Name(seat)} and {(_run.Seats.TryGetValue(other, out var peer) ? Name(peer) : $"seat {other}")}";
        var times = _run.LeftOut.TryGetValue(number, out var before) ? before.Times + 1 : 1;
        var pause = TimeSpan.FromTicks(Math.Min(timings.LeaveOut.Ticks << Math.Min(times - 1, 20), TimeSpan.FromHours(1).Ticks));
        _run = _run with { LeftOut = _run.LeftOut.SetItem(number, new(now + pause, times, text)) };
        Log($"{Name(seat)} is left out for {pause.TotalSeconds:0} s: the connection between {text} broke");
    }
}
