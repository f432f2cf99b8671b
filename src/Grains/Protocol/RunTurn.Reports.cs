using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <content>
/// What seats report. A report is a seat's last answer, said again: it also shows what the seat did not hear, which is then said again to
/// it alone.
/// </content>
internal sealed partial class RunTurn
{
    private void TakeReports(RunEvent.Reported e)
    {
        if (_heard.IsLate(e.Silo, e.Number)) return; // where the seats were; a newer report has come before it
        _heard = _heard with { Reports = _heard.Reports.SetItem(e.Silo, e.Number) };
        foreach (var report in e.Seats)
        {
            if (_run.Seats.TryGetValue(report.Seat, out var seat)) TakeReport(seat, report);
            else _stale.Add(report.Seat);
        }
    }

    private void TakeReport(Seat seat, RankReport report)
    {
        _heard = _heard with { Seats = _heard.Seats.SetItem(seat.Number, SeatNews.Of(report, _heard.Of(seat.Number), now)) };
        if (_run.Phase is RunPhase.Running or RunPhase.Parting && report.Generation == _run.Generation)
            _heard = _heard with { Stall = _heard.Stall.Hear(seat.Node, report.Step, now) };
        switch (report.Phase)
        {
            case ReportedPhase.Failed: TakeFailed(seat, report); break;
            case ReportedPhase.Stopped: TakeStopped(seat, report); break;
            case ReportedPhase.Parked: TakeParked(seat, report); break;
            case ReportedPhase.Loading when _run.Phase is not RunPhase.Stopping: break;
            default: TakeWorking(seat, report); break;
        }
    }

    private void TakeFailed(Seat seat, RankReport report)
    {
        var fault = new Fault(Name(seat), report.Error ?? "it failed and did not say why", report.Fault == ReportedFault.Echo);
        if (_run.Phase is RunPhase.Stopping stopping)
        {
            Drop([seat.Number]);
            if (stopping.Final is not RunPhase.Failed) return;
            var faults = stopping.Faults.Add(fault);
            _run = _run with { Phase = stopping with { Final = new RunPhase.Failed(Fault.Fold(faults)), Faults = faults } };
        }
        else if (report.Generation == 0)
        {
            Refuse(seat, fault);
        }
        else if (report.Fault == ReportedFault.Run)
        {
            var known = _run.Phase is RunPhase.Parting parting ? parting.Breakup.Faults : [];
            Drop([seat.Number]);
            Fail(known.Add(fault));
        }
        else
        {
            Log($"{fault.Who} failed: {fault.Text}");
            Lose([seat], $"{seat.Node} had a fault", fault);
        }
    }

    private void TakeStopped(Seat seat, RankReport report)
    {
        if (_run.Phase is RunPhase.Stopping)
        {
            Drop([seat.Number]);
            return;
        }
        Log($"{Name(seat)} stopped: {report.Error ?? "it did not say why"}");
        Lose([seat], $"{seat.Node} stopped");
    }

    private void TakeParked(Seat seat, RankReport report)
    {
        if (seat.IsSilent) _run = _run with { Seats = _run.Seats.SetItem(seat.Number, seat with { IsSilent = false }) };
        switch (_run.Phase)
        {
            case RunPhase.Running when RankOf(seat.Number) is { } rank:
                if (report.Generation >= _run.Generation) TakeLeft(seat, report);
                else if (report.Offer?.Address == _run.Members[rank].Address) _commands.Add(Join(seat, rank));
                else if (report.Offer is not null) BreakOff(CannotJoin(seat));
                break;
            case RunPhase.Parting parting when parting.Remaining.Contains(seat.Number):
                // Its order to join may be on its way still: what it says then is soon out of date.
                if (report.Generation < _run.Generation && now < parting.Since + timings.AskAgain) return;
                var breakup = parting.Breakup;
                // Echoes of a break that the run itself has ordered say nothing.
                var isOrdered = parting.IsBroken && breakup.Kind <= BreakupKind.Missed;
                if (report.Generation >= _run.Generation && !isOrdered) breakup = With(breakup, seat, report);
                _run = _run with { Phase = parting with { Remaining = parting.Remaining.Remove(seat.Number), Breakup = breakup } };
                if (breakup.HasEcho && !parting.IsBroken) BreakRemaining("a peer broke off");
                break;
            case RunPhase.Stopping:
                _commands.Add(new RunCommand.Leave(seat, "the run is stopping"));
                break;
        }
    }

    /// <summary>The first that parks, in a generation that runs: it broke, or all part as they were asked to.</summary>
    private void TakeLeft(Seat seat, RankReport report)
    {
        if (report.Fault == ReportedFault.None && report.Error is null)
        {
            var running = (RunPhase.Running)_run.Phase;
            var why = running.Boundary.IsEmpty ? "all parted" : string.Join(" and ", running.Boundary);
            StartParting(Breakup.Of(BreakupKind.Boundary, why), isBroken: false);
            return;
        }
        Log($"{Name(seat)} broke off: {report.Error}");
        BreakOff(With(Breakup.Of(BreakupKind.Echo, WhyOf(seat, report)), seat, report));
    }

    private Breakup CannotJoin(Seat seat)
    {
        var fault = new Fault(Name(seat), "its address was used up before it heard of the generation", IsEcho: true);
        return Breakup.Of(BreakupKind.Missed, $"{seat.Node} could not join") with { Faults = [fault] };
    }

    private Breakup With(Breakup breakup, Seat seat, RankReport report)
    {
        if (report.Fault == ReportedFault.None) return breakup;
        breakup = breakup with { Faults = breakup.Faults.Add(new(Name(seat), report.Error ?? "it broke off", IsEcho: true)) };
        if (breakup.Kind == BreakupKind.Boundary) breakup = breakup with { Kind = BreakupKind.Echo, Why = WhyOf(seat, report) };
        return PeerOf(report) is { } peer
            ? breakup with { Edges = breakup.Edges.Add(new(seat.Number, peer, IsSure: !report.BadPeerMayBeGone)) }
            : breakup;
    }

    private string WhyOf(Seat seat, RankReport report) => PeerOf(report) is { } number && _run.Seats.TryGetValue(number, out var peer)
        ? $"the connection between {seat.Node} and {peer.Node} broke"
        : $"{seat.Node} broke off";

    /// <summary>The seat to whom the connection broke.</summary>
    private int? PeerOf(RankReport report) =>
        report.BadPeer is { } rank && rank >= 0 && rank < _run.Members.Length ? _run.Members[rank].Seat : null;

    /// <summary>A seat that loads though the run stops, or is in a generation.</summary>
    private void TakeWorking(Seat seat, RankReport report)
    {
        switch (_run.Phase)
        {
            case RunPhase.Stopping:
                _commands.Add(new RunCommand.Leave(seat, "the run is stopping"));
                break;
            case RunPhase.Running running when report.Generation == _run.Generation:
                if (!running.Boundary.IsEmpty && HasTally(report)) _commands.Add(new RunCommand.Part(seat, _run.Generation));
                break;
            case RunPhase.Parting { IsBroken: false } parting
                when parting.Remaining.Contains(seat.Number) && report.Generation == _run.Generation:
                if (HasTally(report)) _commands.Add(new RunCommand.Part(seat, _run.Generation));
                break;
            default:
                if (!seat.IsSilent || _run.Phase is not RunPhase.Parting) _heard = _heard.Straying(seat.Number, now);
                _commands.Add(new RunCommand.Break(seat, report.Generation, "the run went on to another generation"));
                break;
        }
    }

    private RunCommand Join(Seat seat, int rank) => new RunCommand.Join(
        seat, _run.Generation, rank, Addresses(), _run.Source, _run.History.LastOrDefault()?.Cause ?? "", _run.Shards);

    private IReadOnlyList<string> Addresses() => [.. _run.Members.Select(member => member.Address)];
}
