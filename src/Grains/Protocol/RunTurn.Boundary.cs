using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <content>What may make a generation that runs part: nodes that drain, seats that wait, a node that is silent, the end.</content>
internal sealed partial class RunTurn
{
    private static bool HasTally(RankReport report) => report.Phase == ReportedPhase.Training;

    private void LookForBoundary(RunPhase.Running running)
    {
        if (HasFinished())
        {
            Finish(new RunPhase.Done());
            return;
        }
        if (!_run.Draining.IsEmpty) GiveUpIdle();
        if (DrainCause() is { } drain && !running.Boundary.Contains(drain)) Ask(drain);
        else if (GrowthCause() is { } growth && running.Boundary.IsEmpty) Ask(growth);
    }

    /// <summary>What waits on a node that is to be left is of no use.</summary>
    private void GiveUpIdle()
    {
        List<Seat> idle = [.. _run.Seats.Values.Where(seat => RankOf(seat.Number) is null && _run.IsDraining(seat))];
        if (idle.Count > 0) GiveUp(idle, "its node is left");
    }

    private bool HasFinished()
    {
        foreach (var member in _run.Members)
            if (_heard.Of(member.Seat)?.Report is not { Phase: ReportedPhase.Finished } report
                || report.Generation != _run.Generation) return false;
        return true;
    }

    /// <summary>Why nodes are left now; null if none is, or the run cannot do without them.</summary>
    private string? DrainCause()
    {
        if (_run.Draining.IsEmpty) return null;
        var leaving = MemberSeats().Where(_run.IsDraining).Select(seat => seat.Node).Distinct().Order(StringComparer.Ordinal).ToList();
        if (leaving.Count == 0 || Staying() < _run.Limits.Min) return null;
        return $"{string.Join(" and ", leaving)} {(leaving.Count == 1 ? "drains" : "drain")}";
    }

    /// <summary>Seats that would be in the next generation if the draining nodes were left.</summary>
    private int Staying() => _run.Seats.Values.Count(seat => !_run.IsDraining(seat) && !_run.IsLeftOut(seat.Number, now)
        && (RankOf(seat.Number) is not null && !seat.IsSilent || _heard.IsParked(seat.Number)));

    /// <summary>
    /// Why seats that wait are let in now; null if they are not. They are let in together, and only in stages that have a step to come: for
    /// the rest of a run it is not worth the while.
    /// </summary>
    private string? GrowthCause()
    {
        if (_run.Seats.Count == _run.Members.Length) return null; // as nearly always
        List<Seat> spares = [.. _run.Seats.Values.Where(seat => RankOf(seat.Number) is null
            && _heard.IsParked(seat.Number) && !_run.IsDraining(seat) && !_run.IsLeftOut(seat.Number, now))];
        var silent = MemberSeats().Where(seat => seat.IsSilent).Count(); // none in a generation that has just begun
        if (spares.Count == 0 || _run.Members.Length - silent >= _run.Limits.Max) return null;
        var ready = spares.Select(seat => _heard.Of(seat.Number)!.ChangedAt).Concat(
            spares.Where(seat => _run.LeftOut.ContainsKey(seat.Number)).Select(seat => _run.LeftOut[seat.Number].Until)).ToList();
        if (now < ready.Max() + timings.AdmitAfterNewest && now < ready.Min() + timings.AdmitAfterFirst) return null;
        if (now < _run.BeganAt + MayPartAfter()) return null;
        if (!MemberSeats().Any(seat => _heard.Of(seat.Number) is { } news && HasTally(news.Report))) return null;
        return $"{string.Join(" and ", spares.Select(seat => seat.Node).Distinct().Order(StringComparer.Ordinal))} joined";
    }

    /// <summary>
    /// Letting seats in must not take more than 2 % of the time. What loading took, or finding out that a node is lost, says nothing of
    /// that.
    /// </summary>
    private TimeSpan MayPartAfter() => _run.History is [.., var before, var last] && last.WorldSize > before.WorldSize
        ? TimeSpan.FromSeconds(Math.Min(50 * last.Seconds, 600))
        : TimeSpan.Zero;

    /// <summary>Asks all to part at the next boundary; in a stage that has none, they break off for a drain.</summary>
    private void Ask(string cause)
    {
        var running = (RunPhase.Running)_run.Phase;
        running = new(running.Boundary.Add(cause), running.AskedAt ?? now);
        _run = _run with { Phase = running };
        Log($"asks for a boundary: {cause}");
        if (IsWithoutTally())
        {
            BreakOff(Breakup.Of(BreakupKind.Boundary, cause));
            return;
        }
        foreach (var seat in MemberSeats()) _commands.Add(new RunCommand.Part(seat, _run.Generation));
    }

    /// <summary>Whether all that were heard of are in a stage that ends without a boundary.</summary>
    private bool IsWithoutTally() =>
        MemberSeats().All(seat => _heard.Of(seat.Number) is { } news
            && news.Report.Generation == _run.Generation && !HasTally(news.Report));

    private void TickRunning(RunPhase.Running running)
    {
        var isLate = running.AskedAt is { } asked && now > asked + timings.HurryAfter && _run.Draining.Any(node => node.Value);
        if (!running.Boundary.IsEmpty && DrainCause() is not null && (isLate || IsWithoutTally()))
        {
            BreakOff(Breakup.Of(BreakupKind.Boundary, string.Join(" and ", running.Boundary)));
            return;
        }
        var (seats, why) = FallenSilent(MemberSeats());
        if (seats.Count > 0) BreakOff(Breakup.Of(BreakupKind.Stall, why));
        else BreakOffWhereOneHangs();
    }

    /// <summary>It is told to break off with all others; as it hears nothing, it is given up when its time to park is over.</summary>
    private void BreakOffWhereOneHangs()
    {
        List<SeatNews> members = [.. MemberSeats().Select(seat => _heard.Of(seat.Number)).OfType<SeatNews>()
            .Where(news => news.Report.Generation == _run.Generation)];
        if (members.Count < _run.Members.Length) return; // somebody has not been heard yet
        var hanging = _heard.Stall.Hanging(members, timings.Hang, now).Select(seat => _run.Seats[seat]).ToList();
        if (hanging.Count == 0) return;
        var since = now - hanging.Min(seat => _heard.Of(seat.Number)!.ChangedAt);
        Log(FormattableString.Invariant($"{Names(hanging)} {(hanging.Count == 1 ? "hangs" : "hang")}: ")
            + FormattableString.Invariant($"nothing has come of it for {since.TotalSeconds:0} s, and the others wait for it"));
        BreakOff(Breakup.Of(BreakupKind.Stall, $"{string.Join(" and ", hanging.Select(seat => seat.Node).Distinct())} hung"));
    }

    /// <summary>Seats of nodes that do not answer any more, which the run goes on without.</summary>
    private (List<Seat> Seats, string Why) FallenSilent(IEnumerable<Seat> awaited)
    {
        _heard = _heard with { Stall = _heard.Stall.Look(now) };
        var silent = _heard.Stall.Suspects(now);
        List<Seat> seats = silent.Count == 0 ? [] : [.. awaited.Where(seat => silent.Contains(seat.Node))];
        var why = $"{string.Join(" and ", seats.Select(seat => seat.Node).Distinct())} fell silent";
        if (seats.Count == 0) return (seats, why);
        Log($"{why}, and no step is committed");
        var silentSeats = seats.Select(seat => KeyValuePair.Create(seat.Number, seat with { IsSilent = true }));
        _run = _run with { Seats = _run.Seats.SetItems(silentSeats) };
        return (seats, why);
    }
}
