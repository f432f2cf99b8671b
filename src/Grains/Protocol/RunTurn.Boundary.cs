using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <content>What may make a generation that runs part: nodes that drain, seats that wait, a node that is silent, the end.</content>
internal sealed partial class RunTurn
{
    /// <summary>Of the time after which a rank is held to hang, when the log names it.</summary>
    private const double WarnAt = 0.5;

    private static bool HasTally(RankReport report) => report.Phase == ReportedPhase.Training;

    private void LookForBoundary(RunPhase.Running running)
    {
        if (HasFinished())
        {
            Finish(new RunPhase.Done());
            return;
        }
        GiveUpIdle();
        if (LeavingCause() is { } leaving && !running.Boundary.Contains(leaving)) Ask(leaving);
        else if (GrowthCause() is { } growth && running.Boundary.IsEmpty) Ask(growth);
    }

    /// <summary>What waits, and is wanted back, is of no use.</summary>
    private void GiveUpIdle()
    {
        if (_run.Draining.IsEmpty && _run.Recalled.IsEmpty) return; // as nearly always
        if (_run.Shards is not null && IsRestoring()) return; // it may have parts that others are fetching
        List<Seat> idle = [.. _run.Seats.Values.Where(seat => RankOf(seat.Number) is null && _run.IsWantedBack(seat))];
        if (idle.Count > 0) GiveUp(idle, "it is wanted back");
    }

    /// <summary>Whether a rank of the generation has not said that it has its state.</summary>
    private bool IsRestoring() => _run.Members.Any(member => _run.Seats.ContainsKey(member.Seat)
        && (_heard.Of(member.Seat)?.Report is not { } report || report.Generation < _run.Generation
            || report.Phase is ReportedPhase.Joining or ReportedPhase.Parked or ReportedPhase.Loading));

    private bool HasFinished()
    {
        foreach (var member in _run.Members)
            if (_heard.Of(member.Seat)?.Report is not { Phase: ReportedPhase.Finished } report
                || report.Generation != _run.Generation) return false;
        return true;
    }

    /// <summary>Why seats are left now; null if none is, or the run cannot do without them.</summary>
    private string? LeavingCause()
    {
        if (_run.Draining.IsEmpty && _run.Recalled.IsEmpty) return null;
        var leaving = MemberSeats().Where(_run.IsWantedBack).ToList();
        if (leaving.Count == 0 || Staying() < _run.Limits.Min) return null;
        var nodes = leaving.Select(seat => seat.Node).Where(_run.Draining.ContainsKey).Distinct().Order(StringComparer.Ordinal).ToList();
        return nodes.Count > 0 ? $"{string.Join(" and ", nodes)} {(nodes.Count == 1 ? "drains" : "drain")}"
            : "a run of higher priority waits";
    }

    /// <summary>Seats that would be in the next generation if those that are wanted back were left.</summary>
    private int Staying() => _run.Seats.Values.Count(seat => !_run.IsWantedBack(seat) && !_run.IsLeftOut(seat.Number, now)
        && (RankOf(seat.Number) is not null && !seat.IsSilent || _heard.IsParked(seat.Number)));

    /// <summary>
    /// Why seats that wait are let in now; null if they are not. They are let in together, and only in stages that have a step to come: for
    /// the rest of a run it is not worth the while.
    /// </summary>
    private string? GrowthCause()
    {
        if (_run.Seats.Count == _run.Members.Length) return null; // as nearly always
        List<Seat> spares = [.. _run.Seats.Values.Where(seat => RankOf(seat.Number) is null
            && _heard.IsParked(seat.Number) && !_run.IsWantedBack(seat) && !_run.IsLeftOut(seat.Number, now))];
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
        if (!running.Boundary.IsEmpty && LeavingCause() is not null && (isLate || IsWithoutTally()))
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
        foreach (var seat in _heard.Stall.Hanging(members, timings.Hang, now, WarnAt)) WarnOf(seat);
        var hanging = _heard.Stall.Hanging(members, timings.Hang, now).Select(seat => _run.Seats[seat]).ToList();
        if (hanging.Count == 0)
        {
            BreakOffWhereAllStandStill(members);
            return;
        }
        var since = now - hanging.Min(seat => _heard.Of(seat.Number)!.ChangedAt);
        Log(FormattableString.Invariant($"{Names(hanging)} {(hanging.Count == 1 ? "hangs" : "hang")}: ")
            + FormattableString.Invariant($"nothing has come of it for {since.TotalSeconds:0} s, and the others wait for it"));
        BreakOff(Breakup.Of(BreakupKind.Stall, $"{string.Join(" and ", hanging.Select(seat => seat.Node).Distinct())} hung"));
    }

    /// <summary>Who hangs does not park, and is given up.</summary>
    private void BreakOffWhereAllStandStill(IReadOnlyList<SeatNews> members)
    {
        if (!_heard.Stall.IsStuck(members, timings.Hang, now)) return;
        var since = now - members.Max(news => news.ChangedAt);
        Log(FormattableString.Invariant($"all ranks stand still: for {since.TotalSeconds:0} s nothing has come of any after step ")
            + $"{members.Max(news => news.Report.Step)}, and none is behind the others");
        BreakOff(Breakup.Of(BreakupKind.Stall, "all ranks stood still"));
    }

    /// <summary>Once for each place that it stands still at, before anything is done about it.</summary>
    private void WarnOf(int number)
    {
        var (seat, news) = (_run.Seats[number], _heard.Of(number)!);
        if (news.IsNamed) return;
        _heard = _heard with { Seats = _heard.Seats.SetItem(number, news with { IsNamed = true }) };
        Log(FormattableString.Invariant($"{Name(seat)} is behind: for {(now - news.ChangedAt).TotalSeconds:0} s it has got no ")
            + $"further than {Kebab.Of(news.Report.Phase.ToString()).Replace('-', ' ')} after step {news.Report.Step}, "
            + "and the others wait for it");
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
