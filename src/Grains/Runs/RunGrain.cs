using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Runs;

/// <summary>
/// Coordinates one run. The rules are <see cref="Rendezvous"/>'s; this stores what they decide and then carries it out. It waits for
/// no other grain: answers come back as calls of their own, so that it can always be asked and always be cancelled.
/// </summary>
internal sealed class RunGrain(
    [PersistentState("run", StateStore.Name)] IPersistentState<StoredRun> stored,
    SiloLiveness silos, RunTimings timings, TimeProvider time, ILogger<RunGrain> log) : Grain, IRunGrain
{
    private static readonly JsonSerializerOptions EndForm = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // people read it
        WriteIndented = true,
    };

    private RunSpec _spec = new();
    private RankCalls _ranks = null!; // set on activation
    private long? _gatheringSince;    // timestamp; null when this activation did not see the generation open

    private StoredRun Run => stored.State;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _ranks = new RankCalls(GrainFactory, this.AsReference<IRunGrain>(), log);
        if (Run.Submitted is null) return;
        _spec = RunSpecJson.FromText(Run.Submitted.SpecJson);
        Formats.Require(Run.Format, StoredRun.ThisFormat, $"run {Run.Submitted.Run}");
        foreach (var silo in Run.Rendezvous.Places.Select(p => p.Silo).Distinct().Where(silo => !silos.IsAlive(silo)))
            await HandleAsync(new RunEvent.NodeLost(silo, StateStore.SiloStopped));
        await HandleAsync(new RunEvent.Reactivated());
    }

    public async Task QueueAsync(QueuedRun run)
    {
        if (Run.Submitted is not null) return;
        _spec = RunSpecJson.FromText(run.SpecJson);
        Run.Submitted = run;
        Run.Log = Run.Log.Add(run.SubmittedAt, $"submitted; results go to {run.Output}");
        await StoreAsync();
    }

    public Task<Answer> WaitAsync(string waitingFor)
    {
        Submitted();
        if (Run.Rendezvous.Phase is not RunPhase.Queued) return Task.FromResult(Answer.Stale);
        Run.WaitingFor = waitingFor;
        return Task.FromResult(Answer.Accepted);
    }

    public async Task<Answer> StartAsync(Lease lease)
    {
        Submitted();
        if (Run.Lease is not null) return Run.Rendezvous.Phase.IsFinal ? Answer.Stale : Answer.Accepted; // said again
        if (Run.Rendezvous.Phase is not RunPhase.Queued) return Answer.Stale;
        Run.Lease = lease;
        _gatheringSince = time.GetTimestamp();
        return await HandleAsync(new RunEvent.Leased(lease.Places));
    }

    public Task<Answer> JoinAsync(RankJoin join) => HandleAsync(join.Problems.Count == 0
        ? new RunEvent.Joined(join.Generation, join.Rank, join.Address)
        : new RunEvent.Refused(join.Generation, join.Rank, join.Problems));

    public async Task<ReportReply> ReportAsync(NodeReport report)
    {
        var before = Run.Progress;
        foreach (var rank in report.Ranks.Where(r => r.Generation == Run.Rendezvous.Generation && !Run.Rendezvous.Phase.IsFinal))
            Run.Progress = Run.Progress.With(rank);
        foreach (var news in Run.Progress.NewsSince(before, _spec.Evaluation.Metric, _spec.Epochs))
            Run.Log = Run.Log.Add(time.GetUtcNow(), news);

        var stale = new List<StaleRank>();
        foreach (var rank in report.Ranks)
            if (await HandleAsync(EventOf(rank)) == Answer.Stale)
                stale.Add(new StaleRank(rank.Generation, rank.Rank));
        return new ReportReply(stale);
    }

    public Task RankLostAsync(long generation, int rank, string reason) => HandleAsync(new RunEvent.RankLost(generation, rank, reason));

    public Task NodeLostAsync(string node, string silo, string reason) => HandleAsync(new RunEvent.NodeLost(silo, reason));

    public async Task<RunStatus> CancelAsync()
    {
        Submitted();
        await HandleAsync(new RunEvent.CancelRequested());
        return await StatusAsync();
    }

    public Task<RunStatus> StatusAsync()
    {
        Submitted();
        return Task.FromResult(Run.StatusAt(time.GetUtcNow(), _spec));
    }

    public Task<LogPage> LogAsync(long fromLine)
    {
        Submitted();
        return Task.FromResult(Run.Log.From(fromLine));
    }

    /// <summary>The state is stored before any command goes out: a coordinator that starts anew can then only repeat itself.</summary>
    private async Task<Answer> HandleAsync(RunEvent happened)
    {
        var decision = Run.Rendezvous.Apply(happened);
        if (decision.Stale) return Answer.Stale;
        if (!ReferenceEquals(decision.State, Run.Rendezvous))
        {
            TakeOver(decision);
            await StoreAsync();
        }
        foreach (var command in decision.Commands) CarryOut(command);
        return Answer.Accepted;
    }

    private void TakeOver(Decision decision)
    {
        var now = time.GetUtcNow();
        if (decision.State.Phase is RunPhase.Running && _gatheringSince is { } since)
        {
            RunMetrics.RendezvousEnded(Submitted().Run, Run.Lease!, time.GetElapsedTime(since));
            _gatheringSince = null;
        }
        Run.Rendezvous = decision.State;
        if (Run.Lease is not null) Run.StartedAt ??= now;
        if (decision.State.Phase.IsFinal) Run.FinishedAt ??= now;
        foreach (var line in decision.Commands.OfType<RunCommand.Log>()) Run.Log = Run.Log.Add(now, line.Text);
    }

    private async Task StoreAsync()
    {
        try
        {
            await stored.WriteStateAsync();
        }
        catch
        {
            DeactivateOnIdle(); // what is in memory was not stored and must not be acted upon: start anew from what was
            throw;
        }
    }

    private void CarryOut(RunCommand command)
    {
        var generation = Run.Rendezvous.Generation;
        switch (command)
        {
            case RunCommand.Prepare c:
                var preparation = new Preparation(generation, SpecOfRanks(Run.Lease!), CollectiveChoice.For(_spec, Run.Lease!));
                _ranks.Prepare(Submitted().Run, c.Place, preparation);
                break;
            case RunCommand.Begin c:
                _ranks.Begin(Submitted().Run, c.Place, new Assignment(generation, c.Addresses, Submitted().Output));
                break;
            case RunCommand.PassBarrier c:
                _ranks.PassBarrier(Submitted().Run, c.Place, generation, c.Epoch);
                break;
            case RunCommand.Abort c:
                _ranks.Abort(Submitted().Run, c.Place, generation, c.Reason);
                break;
            case RunCommand.StartTimer c:
                StartTimer(c.Kind, generation);
                break;
            case RunCommand.Release:
                var final = Run.StatusAt(time.GetUtcNow(), _spec);
                if (final.State != RunState.Done && Run.Lease is { } lease)
                    _ranks.Record(final.Run, lease.Places, new(final.Output, RunSpecYaml.ToText(_spec), EndText(final)));
                _ranks.Release(final);
                break;
            case RunCommand.Log: // written when the state was
                break;
        }
    }

    private void StartTimer(RunTimer kind, long generation)
    {
        IGrainTimer? timer = null;
        timer = this.RegisterGrainTimer(
            () =>
            {
                timer!.Dispose(); // it is due once, and a generation that gathers for minutes starts many
                return HandleAsync(new RunEvent.TimedOut(generation, kind));
            },
            new GrainTimerCreationOptions(timings.Of(kind), Timeout.InfiniteTimeSpan) { KeepAlive = true });
    }

    private static RunEvent.Reported EventOf(RankReport rank) =>
        new(rank.Generation, rank.Rank, rank.Phase, rank.Epoch, rank.Error, rank.Address, rank.IsEcho);

    /// <summary>What the cluster knows of the run, and its log: after a while it will know neither.</summary>
    private string EndText(RunStatus final) => JsonSerializer.Serialize(
        new
        {
            final.Run,
            State = final.State.ToString().ToLowerInvariant(),
            final.Error,
            final.Step,
            final.TotalSteps,
            final.WorldSize,
            final.SubmittedAt,
            final.StartedAt,
            final.FinishedAt,
            Log = Run.Log.Lines,
        },
        EndForm);

    /// <summary>With the device that "auto" has come to: all ranks of a run compute on the same kind.</summary>
    private string SpecOfRanks(Lease lease) => RunSpecJson.ToText(_spec with { Cluster = _spec.Cluster with { Device = lease.Device } });

    private QueuedRun Submitted() => Run.Submitted ?? throw RunNotFoundException.For(this.GetPrimaryKeyString());
}
