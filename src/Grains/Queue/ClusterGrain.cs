using Microsoft.Extensions.Logging;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Queue;

/// <summary>
/// The cluster's front desk: takes runs in, leases ranks to them and takes the ranks back. The rules are <see cref="GangQueue"/>'s.
/// Runs are told without waiting for them, so that one on a dying silo holds up nobody; a tick each second makes up for what was lost.
/// </summary>
[KeepAlive] // its tick has to go on
internal sealed class ClusterGrain(
    [PersistentState("cluster", StateStore.Name)] IPersistentState<StoredCluster> stored,
    SiloLiveness silos, TimeProvider time, ILogger<ClusterGrain> log) : Grain, IClusterGrain
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StatusPatience = TimeSpan.FromSeconds(5);

    private readonly NodeBook _nodes = new(silos.IsAlive, time);
    private readonly HashSet<string> _tended = []; // runs that are being told or asked something: one thing at a time

    private GangQueue Queue => stored.State.Queue;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        this.RegisterGrainTimer(TickAsync, new GrainTimerCreationOptions(Tick, Tick));
        return Task.CompletedTask;
    }

    public async Task<SubmitReply> SubmitAsync(SubmitRequest request)
    {
        RunSpec spec;
        try
        {
            spec = RunSpecText.Parse(request.SpecJson);
        }
        catch (InputException e)
        {
            return new SubmitReply("", "", e.Problems);
        }
        var now = time.GetUtcNow();
        var run = request.RunId ?? RunIds.New(spec.Name, now);
        var reply = new SubmitReply(run, Path.Combine(spec.Output, run), []);
        if (Queue.Knows(run) || stored.State.Ended.Exists(r => r.Run == run)) return reply; // submitted twice, for the answer was lost

        await GrainFactory.GetRun(run).QueueAsync(new QueuedRun(run, request.SpecJson, reply.Output, now));
        await StoreAsync(Queue.Enqueue(RankDemand.Of(run, spec)));
        await LeaseAsync();
        return reply;
    }

    public async Task RegisterNodeAsync(NodeInfo node)
    {
        _nodes.Hear(node);
        await LeaseAsync();
    }

    public async Task ReleaseAsync(RunStatus final)
    {
        if (!Queue.Knows(final.Run)) return;
        stored.State.End(final);
        await StoreAsync(Queue);
        await LeaseAsync();
    }

    public Task<IReadOnlyList<NodeInfo>> NodesAsync() => Task.FromResult(_nodes.All(Queue));

    public async Task<IReadOnlyList<RunStatus>> RunsAsync()
    {
        var active = await Task.WhenAll(Queue.Leases.Keys.Concat(Queue.Waiting.Select(d => d.Run)).Select(StatusOrLessAsync));
        return [.. stored.State.Ended.Concat(active).DistinctBy(r => r.Run).OrderByDescending(r => r.SubmittedAt)];
    }

    private async Task TickAsync()
    {
        _nodes.ForgetLongLost();
        await LeaseAsync();
        foreach (var lease in Queue.Leases.Values) _ = TendAsync(lease.Run, run => ReconcileAsync(run, lease));
        var capacities = _nodes.Capacities(Queue);
        foreach (var demand in Queue.Waiting) _ = TendAsync(demand.Run, run => run.WaitAsync(Queue.WaitingFor(demand, capacities)));
    }

    /// <summary>Leases ranks to as many runs from the head of the queue as there are ranks for.</summary>
    private async Task LeaseAsync()
    {
        while (Queue.LeaseNext(_nodes.Capacities(Queue)) is { Lease: { } lease } next)
        {
            await StoreAsync(next.Queue);
            _ = TendAsync(lease.Run, run => ReconcileAsync(run, lease));
        }
    }

    /// <summary>Brings a run and its lease together, whichever message between them was lost, and tells it of lost nodes.</summary>
    private async Task ReconcileAsync(IRunGrain run, Lease lease)
    {
        var status = await run.StatusAsync();
        if (status.State == RunState.Queued && await run.StartAsync(lease) == Answer.Stale) status = await run.StatusAsync();
        if (status.IsFinal)
        {
            await this.AsReference<IClusterGrain>().ReleaseAsync(status);
            return;
        }
        foreach (var place in lease.Places.DistinctBy(p => p.Node))
            if (_nodes.LossOf(place) is { } reason) await run.NodeLostAsync(place.Node, reason);
    }

    /// <summary>Tells a run something without being waited for; what did not arrive is said again at the next tick.</summary>
    private async Task TendAsync(string run, Func<IRunGrain, Task> what)
    {
        if (!_tended.Add(run)) return;
        try
        {
            await what(GrainFactory.GetRun(run));
        }
        catch (Exception e)
        {
            log.RunUnreachable(run, e.Message);
        }
        finally
        {
            _tended.Remove(run);
        }
    }

    private async Task<RunStatus> StatusOrLessAsync(string run)
    {
        try
        {
            return await GrainFactory.GetRun(run).StatusAsync().WaitAsync(StatusPatience);
        }
        catch (Exception e) // its silo may have died just now: the list of all other runs is still worth having
        {
            return new RunStatus { Run = run, Phase = "unknown", Error = $"its coordinator does not answer: {e.Message}" };
        }
    }

    private async Task StoreAsync(GangQueue queue)
    {
        stored.State.Queue = queue;
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
}
