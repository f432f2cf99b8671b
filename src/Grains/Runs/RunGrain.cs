using Microsoft.Extensions.Logging;
using Orleans.Storage;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Runs;

/// <summary>
/// Coordinates one run. The rules are <see cref="Rendezvous"/>'s; this stores what they decide and then carries it out. It waits for
/// no other grain: answers come back as reports, so that it can always be asked and always be cancelled.
/// </summary>
internal sealed class RunGrain(
    [PersistentState("run-2", StateStore.Name)] IPersistentState<StoredRun> stored,
    SiloLiveness silos, RunTimings timings, TimeProvider time, ILogger<RunGrain> log) : Grain, IRunGrain
{
    /// <summary>A storage that is down comes back, or this activation has to go.</summary>
    private static readonly TimeSpan StorePatience = TimeSpan.FromSeconds(20), StoreAgain = TimeSpan.FromMilliseconds(200);

    private RunSpec _spec = new();
    private RankCalls _ranks = null!; // set on activation
    private Heard _heard = null!;     // so is it
    private IGrainTimer? _ticks;      // while the run has seats
    private string? _specOfSeats;     // as it is sent to them

    private StoredRun Run => stored.State;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _ranks = new RankCalls(GrainFactory, ForgetNews, log);
        _heard = Heard.Nothing(time.GetUtcNow());
        if (Run.Submitted is null) return;
        StateFormat.Require(Run.Format, StoredRun.ThisFormat, $"run {Run.Submitted.Run}");
        _spec = RunSpecJson.FromText(Run.Submitted.SpecJson);
        await HandleAsync(new RunEvent.Reactivated());
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        RunMetrics.Forget(this.GetPrimaryKeyString());
        return Task.CompletedTask;
    }

    public async Task QueueAsync(QueuedRun run)
    {
        if (Run.Submitted is { } known && known.Life >= run.Life) return; // said again
        (_spec, _specOfSeats) = (RunSpecJson.FromText(run.SpecJson), null);
        RankLimits limits = new(_spec.Cluster.MinRanks, _spec.Cluster.MaxRanks);
        var now = time.GetUtcNow();
        if (Run.Submitted is null)
        {
            Run.Rendezvous = Rendezvous.New(limits) with { NextSeat = run.FirstSeat };
            Run.Log = Run.Log.Add(run.SubmittedAt, $"submitted; results go to {run.Output}");
        }
        else
        {
            Run.Rendezvous = Run.Rendezvous.Apply(_heard, new RunEvent.Resumed(limits), now, timings).State;
            _heard = Heard.Nothing(now);
            Run.Log = Run.Log.Add(now, "resumed, from its newest checkpoint");
            (Run.Device, Run.FinishedAt, Run.WaitingFor) = (null, null, null);
        }
        Run.Submitted = run;
        await StoreAsync();
        RunMetrics.Tell(run.Run, Run, now);
    }

    public Task<Acknowledgement> WaitAsync(string waitingFor)
    {
        Submitted();
        if (Run.Rendezvous.Phase is not RunPhase.Queued) return Task.FromResult(Acknowledgement.Stale);
        Run.WaitingFor = waitingFor;
        return Task.FromResult(Acknowledgement.Accepted);
    }

    public async Task<RunNeeds> TendAsync(Tending tending)
    {
        Submitted();
        var lease = tending.Lease;
        if (!Run.Rendezvous.Phase.IsFinal)
        {
            Run.Device ??= lease.Device;
            if (lease.Seats.Any(seat => seat.Seat >= Run.Rendezvous.NextSeat))
                Run.Places = [.. Run.Places.UnionBy(lease.Seats, place => place.Seat)];
            await HandleAsync(new RunEvent.Tended(lease.Seats, tending.Lost, tending.Draining, tending.Yields, tending.Recalled));
        }
        return Run.Rendezvous.NeedsOf(lease, Run.Rendezvous.Phase.IsFinal ? Status() : null);
    }

    public async Task<ReportReply> ReportAsync(NodeReport report)
    {
        var told = Run.Log;
        if (!_heard.IsLate(report.Silo, report.Number)) TakeProgress(report);
        if (!ReferenceEquals(told, Run.Log)) await StoreAsync(); // a line tells when it happened: lost, it would be told later, as of then
        var stale = await HandleAsync(new RunEvent.Reported(report.Silo, report.Number, report.Seats));
        return new(stale, Run.Rendezvous.Version);
    }

    public async Task<RunStatus> CancelAsync()
    {
        Submitted();
        await HandleAsync(new RunEvent.CancelRequested());
        return Status();
    }

    public async Task ForgetAsync()
    {
        if (Run.Submitted is null || !Run.Rendezvous.Phase.IsFinal) return;
        await stored.ClearStateAsync();
        DeactivateOnIdle();
    }

    public Task<RunStatus> StatusAsync()
    {
        Submitted();
        return Task.FromResult(Status());
    }

    public Task<LogPage> LogAsync(long fromLine)
    {
        Submitted();
        return Task.FromResult(Run.Log.From(fromLine));
    }

    /// <summary>The state is stored before any command goes out: a coordinator that starts anew can then only repeat itself.</summary>
    /// <returns>Seats of a report that the run does not have.</returns>
    private async Task<IReadOnlyList<int>> HandleAsync(RunEvent happened)
    {
        var decision = Run.Rendezvous.Apply(_heard, happened, time.GetUtcNow(), timings);
        _heard = decision.Heard;
        if (!ReferenceEquals(decision.State, Run.Rendezvous) || decision.Commands.Any(command => command is RunCommand.Log))
        {
            TakeOver(decision);
            await StoreAsync();
        }
        var run = Submitted().Run;
        RunMetrics.Tell(run, Run, time.GetUtcNow());
        var orders = decision.Commands.OfType<RunCommand.ToSeat>().Select(command => (command.Seat, OrderOf(command)));
        _ranks.Send(run, Run.Rendezvous.Version, orders);
        foreach (var recovery in decision.Commands.OfType<RunCommand.CountRecovery>())
            RunMetrics.GenerationEnded(run, recovery.Cause);
        if (decision.Commands.Any(command => command is RunCommand.Release)) Release();
        KeepTicking();
        return decision.Stale;
    }

    private void TakeOver(Decision decision)
    {
        var now = time.GetUtcNow();
        var before = Run.Rendezvous;
        Run.Rendezvous = decision.State;
        if (decision.State.Generation > before.Generation && decision.State.History[^1] is var formed)
        {
            Run.Progress = Run.Progress.At(formed);
            RunMetrics.RendezvousEnded(Submitted().Run, formed.Seconds);
        }
        if (decision.State.Phase is not RunPhase.Queued && !decision.State.Phase.IsFinal) Run.StartedAt ??= now;
        if (decision.State.Phase.IsFinal) Run.FinishedAt ??= now;
        if (decision.State.Phase.IsFinal && !before.Phase.IsFinal) RunMetrics.RunEnded(decision.State.Phase);
        foreach (var line in decision.Commands.OfType<RunCommand.Log>()) Run.Log = Run.Log.Add(now, line.Text);
    }

    private void TakeProgress(NodeReport report)
    {
        if (Run.Rendezvous.Phase.IsFinal) return;
        var before = Run.Progress;
        foreach (var seat in report.Seats.Where(seat => seat.Generation == Run.Rendezvous.Generation))
        {
            if (seat.Phase == ReportedPhase.Parked) Run.Progress = Run.Progress.WithCheckpoint(seat.CheckpointStep);
            else Run.Progress = Run.Progress.With(seat);
        }
        foreach (var news in Run.Progress.NewsSince(before, _spec.Evaluation.Metric, _spec.Epochs))
            Run.Log = Run.Log.Add(time.GetUtcNow(), news);
    }

    /// <summary>
    /// A write that failed is tried again in place, with nothing sent meanwhile; a conflict means that another activation is ahead.
    /// </summary>
    private async Task StoreAsync()
    {
        var since = time.GetTimestamp();
        while (true)
        {
            try
            {
                await stored.WriteStateAsync();
                return;
            }
            catch (Exception e) when (e is not InconsistentStateException && time.GetElapsedTime(since) < StorePatience)
            {
                log.StoreFailed(this.GetPrimaryKeyString(), e.Message);
                await Task.Delay(StoreAgain);
            }
            catch
            {
                DeactivateOnIdle(); // what is in memory was not stored and must not be acted upon: start anew from what was
                throw;
            }
        }
    }

    private RankOrder OrderOf(RunCommand.ToSeat command) => command switch
    {
        RunCommand.Take c => new TakeOrder(
            c.Seat.Number, _specOfSeats ??= SpecOfSeats(), CollectiveChoice.For(_spec, Run.Device!), Submitted().Output),
        RunCommand.Join c => new JoinOrder(
            c.Seat.Number, c.Generation, c.Rank, c.Addresses, c.Source, c.Cause, c.Shards),
        RunCommand.Part c => new PartOrder(c.Seat.Number, c.Generation),
        RunCommand.Break c => new BreakOrder(c.Seat.Number, c.Generation, c.Reason),
        RunCommand.Keep c => new KeepOrder(c.Seat.Number),
        RunCommand.Leave c => new LeaveOrder(c.Seat.Number, c.Reason),
        _ => throw new System.Diagnostics.UnreachableException(command.GetType().Name), // a new command must decide here
    };

    private void Release()
    {
        var final = Status();
        if (final.State != RunState.Done && Run.Places.Count > 0)
            _ranks.Record(final.Run, Run.Places, new(final.Output, RunSpecYaml.ToText(_spec), EndText.Of(final, Run.Log)));
        _ranks.Release(final);
    }

    private void KeepTicking()
    {
        var phase = Run.Rendezvous.Phase;
        if (phase is RunPhase.Queued || phase.IsFinal)
        {
            _ticks?.Dispose();
            _ticks = null;
        }
        else
        {
            _ticks ??= this.RegisterGrainTimer(TickAsync, new GrainTimerCreationOptions(timings.Tick, timings.Tick) { KeepAlive = true });
        }
    }

    /// <summary>The cluster tells of lost silos too, and of more; what this silo knows itself is told sooner.</summary>
    private async Task TickAsync()
    {
        var dead = Run.Rendezvous.Seats.Values.DistinctBy(seat => seat.Silo).Where(seat => silos.IsDead(seat.Silo))
            .Select(seat => new LostSilo(seat.Silo, $"{seat.Node} was lost: its silo is gone")).ToList();
        await HandleAsync(dead.Count > 0 ? new RunEvent.SilosLost(dead) : new RunEvent.Tick());
    }

    private void ForgetNews(IReadOnlyList<int> seats) => _heard = _heard with { Seats = _heard.Seats.RemoveRange(seats) };

    /// <summary>With the device that "auto" has come to: all seats of a run compute on the same kind.</summary>
    private string SpecOfSeats() => RunSpecJson.ToText(_spec with { Cluster = _spec.Cluster with { Device = Run.Device! } });

    private RunStatus Status() => Run.StatusAt(time.GetUtcNow(), _spec, _heard);

    private QueuedRun Submitted() => Run.Submitted ?? throw RunNotFoundException.For(this.GetPrimaryKeyString());
}
