using System.Collections.Immutable;
using System.Diagnostics;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>
/// The protocol between a run's coordinator and its ranks, as a pure state machine: an event in, the new state and commands out.
/// No clock, no network, no storage. A run opens a generation with the ranks that it leased; when all have joined they begin
/// together; whoever reaches the end of an epoch waits for all; the failure of one stops all.
/// </summary>
/// <param name="Generation">Counts rendezvous from 1; 0 before the first.</param>
/// <param name="Places">The generation's ranks: <c>Places[r]</c> is rank r's.</param>
internal sealed record Rendezvous(RunPhase Phase, long Generation, ImmutableArray<RankPlace> Places)
{
    public static Rendezvous New { get; } = new(new RunPhase.Queued(), 0, []);

    public Decision Apply(RunEvent happened) => happened switch
    {
        RunEvent.Leased e => OnLeased(e),
        RunEvent.Joined e => OnJoined(e),
        RunEvent.Refused e => IsCurrent(e.Generation, e.Rank) && Phase is RunPhase.Gathering
            ? Fail(new($"{Describe(e.Rank)} cannot start", string.Join("; ", e.Problems)), [e.Rank])
            : Stale(),
        RunEvent.Reported e => IsCurrent(e.Generation, e.Rank) ? OnReported(e) : Stale(),
        RunEvent.RankLost e => IsCurrent(e.Generation, e.Rank) && Live().Contains(e.Rank)
            ? Fail(new($"{Describe(e.Rank)} cannot be reached", e.Reason), [e.Rank])
            : Stale(),
        RunEvent.NodeLost e => OnNodeLost(e),
        RunEvent.TimedOut e => e.Generation == Generation ? OnTimedOut(e.Kind) : Stale(),
        RunEvent.CancelRequested => Phase is RunPhase.Stopping || Phase.IsFinal
            ? Stale()
            : End(new RunPhase.Cancelled(), "the run was cancelled", []),
        RunEvent.Reactivated => new(this, RepeatedCommands()),
        _ => throw new UnreachableException(happened.GetType().Name), // a new event must decide here
    };

    private Decision OnLeased(RunEvent.Leased e)
    {
        if (Phase is not RunPhase.Queued) return Stale();
        var opened = this with
        {
            Generation = Generation + 1,
            Places = [.. e.Places],
            Phase = new RunPhase.Gathering(ImmutableSortedDictionary<int, string>.Empty),
        };
        var nodes = string.Join(", ", e.Places.GroupBy(p => p.Node).Select(g => $"{g.Count()} on {g.Key}"));
        var log = Log($"generation {opened.Generation} opened: {(e.Places.Count == 1 ? "1 rank" : $"{e.Places.Count} ranks")}, {nodes}");
        return new(opened, [log, .. opened.RepeatedCommands()]);
    }

    private Decision OnJoined(RunEvent.Joined e)
    {
        if (!IsCurrent(e.Generation, e.Rank)) return Stale();
        if (Phase is RunPhase.Running running) return running.Addresses[e.Rank] == e.Address ? Unchanged() : Stale();
        if (Phase is not RunPhase.Gathering gathering) return Stale();
        if (gathering.Addresses.TryGetValue(e.Rank, out var known) && known == e.Address) return Unchanged();

        var addresses = gathering.Addresses.SetItem(e.Rank, e.Address);
        var joined = Log($"{Describe(e.Rank)} joined, {addresses.Count} of {Places.Length}");
        if (addresses.Count < Places.Length) return new(this with { Phase = new RunPhase.Gathering(addresses) }, [joined]);

        var begun = this with
        {
            Phase = new RunPhase.Running(addresses, ImmutableSortedDictionary<int, int>.Empty, PassedEpoch: -1, []),
        };
        return new(begun, [joined, Log($"generation {Generation} begins"), .. begun.RepeatedCommands()]);
    }

    private Decision OnReported(RunEvent.Reported e) => (Phase, e.Phase) switch
    {
        // A report from a rank of this generation is never stale while the generation gathers: it is its join, repeated.
        (RunPhase.Gathering, ReportedPhase.Prepared) => OnJoined(new(e.Generation, e.Rank, e.Address)),
        (RunPhase.Gathering, ReportedPhase.Failed or ReportedPhase.Stopped) => Fail(FaultOf(e), [e.Rank]),
        (RunPhase.Gathering, _) => Unchanged(),
        (RunPhase.Running r, _) when r.Finished.Contains(e.Rank) => Unchanged(),
        (RunPhase.Running r, ReportedPhase.Prepared) => new(this, [Begin(Places[e.Rank], r)]), // it did not hear of it: say it again
        (RunPhase.Running r, ReportedPhase.AtBarrier) => OnBarrier(r, e.Rank, e.Epoch),
        (RunPhase.Running r, ReportedPhase.Finished) => OnFinished(r, e.Rank),
        (RunPhase.Running, ReportedPhase.Failed or ReportedPhase.Stopped) => Fail(FaultOf(e), [e.Rank]),
        (RunPhase.Running, _) => Unchanged(),
        (RunPhase.Stopping s, ReportedPhase.Failed) when s.Remaining.Contains(e.Rank) => Fail(FaultOf(e), [e.Rank]),
        (RunPhase.Stopping s, ReportedPhase.Finished or ReportedPhase.Stopped) when s.Remaining.Contains(e.Rank)
            => End(s.Final, "", [e.Rank]),
        (RunPhase.Stopping s, _) when s.Remaining.Contains(e.Rank) => new(this, [Abort(e.Rank)]), // as above
        (RunPhase.Stopping, _) => Unchanged(),
        _ => Stale(),
    };

    private Decision OnBarrier(RunPhase.Running running, int rank, int epoch)
    {
        // It was let through and did not hear of it, or its report crossed the message: say it again to this rank alone.
        if (epoch <= running.PassedEpoch) return new(this, [new RunCommand.PassBarrier(Places[rank], epoch)]);
        if (running.Waiting.TryGetValue(rank, out var known) && known == epoch) return Unchanged();

        var waiting = running.Waiting.SetItem(rank, epoch);
        if (waiting.Count < Places.Length || waiting.Values.Any(e => e != epoch))
            return new(this with { Phase = running with { Waiting = waiting } }, []);

        var passed = running with { Waiting = ImmutableSortedDictionary<int, int>.Empty, PassedEpoch = epoch };
        return new(this with { Phase = passed }, [.. Places.Select(p => new RunCommand.PassBarrier(p, epoch))]);
    }

    private Decision OnFinished(RunPhase.Running running, int rank)
    {
        var finished = running with { Finished = running.Finished.Add(rank) };
        return finished.Finished.Count < Places.Length ? new(this with { Phase = finished }, []) : Finish(new RunPhase.Done(), []);
    }

    private Decision OnNodeLost(RunEvent.NodeLost e)
    {
        var gone = Live().Where(rank => Places[rank].Silo == e.Silo).ToList();
        return gone.Count == 0 ? Stale() : Fail(new("", e.Reason), gone);
    }

    private Decision OnTimedOut(RunTimer kind) => (kind, Phase) switch
    {
        (RunTimer.Join, RunPhase.Gathering g) => Fail(
            new("", $"{string.Join(", ", Live().Where(r => !g.Addresses.ContainsKey(r)).Select(Describe))} did not join in time"), []),
        (RunTimer.AskAgain, RunPhase.Gathering g) => new(this, AskTheMissing(g)),
        (RunTimer.Stop, RunPhase.Stopping s) => Finish(s.Final, [Log($"no answer from {string.Join(", ", s.Remaining.Select(Describe))}")]),
        _ => Stale(),
    };

    /// <summary>Something broke. The one place that decides what comes of it: today the run ends, whatever the cause.</summary>
    private Decision Fail(Fault fault, IReadOnlyCollection<int> gone)
    {
        if (Phase is not RunPhase.Stopping stopping)
            return End(new RunPhase.Failed(Fault.Fold([fault])), $"stopped, because {Fault.Fold([fault])}", gone, [fault]);
        if (stopping.Final is not RunPhase.Failed) return End(stopping.Final, "", gone);
        var faults = (stopping.Faults ?? []).Add(fault);
        return End(new RunPhase.Failed(Fault.Fold(faults)), "", gone, faults);
    }

    /// <summary>Stops the ranks that still run, except <paramref name="gone"/>, and ends the run when none is left.</summary>
    private Decision End(RunPhase final, string reason, IReadOnlyCollection<int> gone, ImmutableList<Fault>? faults = null)
    {
        var remaining = Live().Except(gone);
        ImmutableArray<RunCommand> aborts = Phase is RunPhase.Stopping
            ? []
            : [.. remaining.Select(r => new RunCommand.Abort(Places[r], reason))];
        if (Phase is RunPhase.Queued or RunPhase.Gathering || remaining.IsEmpty) return Finish(final, aborts); // nobody has to stop
        faults ??= (Phase as RunPhase.Stopping)?.Faults ?? [];
        var stopping = this with { Phase = new RunPhase.Stopping(final, remaining, faults) };
        return new(stopping, Phase is RunPhase.Stopping ? [] : [Log("stopping"), .. aborts, new RunCommand.StartTimer(RunTimer.Stop)]);
    }

    private Decision Finish(RunPhase final, ImmutableArray<RunCommand> before)
    {
        var last = Log(final is RunPhase.Failed failed ? $"failed: {failed.Error}" : final is RunPhase.Done ? "done" : "cancelled");
        return new(this with { Phase = final }, [.. before, last, new RunCommand.Release()]);
    }

    /// <summary>The commands that lead on from this phase.</summary>
    private ImmutableArray<RunCommand> RepeatedCommands() => Phase switch
    {
        RunPhase.Queued => [],
        RunPhase.Gathering g => [.. AskTheMissing(g), new RunCommand.StartTimer(RunTimer.Join)],
        RunPhase.Running r => [.. Places.Where(p => !r.Finished.Contains(p.Rank)).Select(p => Begin(p, r))],
        RunPhase.Stopping s =>
        [
            .. s.Remaining.Select(Abort),
            new RunCommand.StartTimer(RunTimer.Stop),
        ],
        RunPhase.Done or RunPhase.Failed or RunPhase.Cancelled => [new RunCommand.Release()],
        _ => throw new UnreachableException(Phase.GetType().Name), // a new phase must decide here
    };

    private ImmutableArray<RunCommand> AskTheMissing(RunPhase.Gathering gathering) =>
    [
        .. Places.Where(p => !gathering.Addresses.ContainsKey(p.Rank)).Select(p => new RunCommand.Prepare(p)),
        new RunCommand.StartTimer(RunTimer.AskAgain),
    ];

    private static RunCommand Begin(RankPlace place, RunPhase.Running running) =>
        new RunCommand.Begin(place, [.. running.Addresses.Values]);

    private RunCommand Abort(int rank) => new RunCommand.Abort(Places[rank], "the run is stopping");

    /// <summary>Ranks that hold something on their node.</summary>
    private ImmutableSortedSet<int> Live() => Phase switch
    {
        RunPhase.Gathering => [.. Enumerable.Range(0, Places.Length)],
        RunPhase.Running r => [.. Enumerable.Range(0, Places.Length).Where(rank => !r.Finished.Contains(rank))],
        RunPhase.Stopping s => s.Remaining,
        _ => [],
    };

    private bool IsCurrent(long generation, int rank) => generation == Generation && rank >= 0 && rank < Places.Length;

    private string Describe(int rank) => $"rank {rank} ({Places[rank].Node})";

    private Fault FaultOf(RunEvent.Reported e) => new(
        Describe(e.Rank), e.Error ?? (e.Phase == ReportedPhase.Stopped ? "it was stopped" : "it failed and did not say why"), e.IsEcho);

    private static RunCommand Log(string text) => new RunCommand.Log(text);

    private Decision Unchanged() => new(this, []);

    private Decision Stale() => new(this, [], Stale: true);
}
