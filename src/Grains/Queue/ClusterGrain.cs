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
    SiloLiveness silos, ClusterShape shape, TimeProvider time, ILogger<ClusterGrain> log) : Grain, IClusterGrain
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StatusPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan TellAgain = TimeSpan.FromMilliseconds(20);

    private readonly NodeBook _nodes = new(silos.IsAlive, () => silos.Active, time);
    private readonly HashSet<string> _tended = []; // runs that are being told or asked something: one thing at a time

    private GangQueue Queue => stored.State.Queue;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        Formats.Require(stored.State.Format, StoredCluster.ThisFormat, "the cluster");
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
        if (!shape.Grows && DeviceProblem(spec) is { } never) return new SubmitReply("", "", [never]);
        var now = time.GetUtcNow();
        var run = request.RunId ?? RunIds.New(spec.Name, now);
        var reply = new SubmitReply(run, Path.Combine(spec.Output, run), []);
        if (Queue.Knows(run) || stored.State.Ended.Exists(r => r.Run == run)) return reply; // submitted twice, for the answer was lost

        // First the queue, in a turn of its own, so that nothing is lost; then the run's grain, which may be on a silo that is dying: it is
        // waited for so that whoever asks for the run's status next gets one, but not for long, and told again until it answers.
        await this.AsReference<IClusterGrain>().EnqueueAsync(new QueuedRun(run, request.SpecJson, reply.Output, now));
        for (var since = time.GetTimestamp(); stored.State.Untold.ContainsKey(run) && time.GetElapsedTime(since) < StatusPatience;)
        {
            await Task.WhenAny(TendAsync(run, TellAsync), Task.Delay(StatusPatience));
            if (stored.State.Untold.ContainsKey(run)) await Task.Delay(TellAgain);
        }
        return reply;
    }

    public async Task EnqueueAsync(QueuedRun run)
    {
        if (Queue.Knows(run.Run) || stored.State.Ended.Exists(r => r.Run == run.Run)) return;
        stored.State.Untold = stored.State.Untold.SetItem(run.Run, run);
        await StoreAsync(Queue.Enqueue(RankDemand.Of(run.Run, RunSpecText.Parse(run.SpecJson))));
        await LeaseAsync();
    }

    public async Task RegisterNodeAsync(NodeInfo node)
    {
        _nodes.Hear(node);
        await LeaseAsync();
    }

    public async Task ReleaseAsync(RunStatus final)
    {
        if (!Queue.Knows(final.Run)) return;
        if (Queue.Leases.TryGetValue(final.Run, out var lease)) _nodes.Occupy(lease);
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

    /// <summary>A run for devices that this cluster has not, and never will, would wait for ever.</summary>
    private string? DeviceProblem(RunSpec spec)
    {
        var nodes = _nodes.Capacities(Queue);
        if (nodes.Count == 0 || RankDemand.Of("", spec).Kinds().Any(kind => nodes.Any(node => node.Has(kind)))) return null;
        var devices = string.Join(", ", nodes.Select(n => n.Device).Distinct());
        return $"cluster.device: this cluster is one node, and it has {devices}, got {spec.Cluster.Device}; "
            + "write auto, or submit to a cluster that has such nodes.";
    }

    private async Task TickAsync()
    {
        _nodes.ForgetLongLost();
        await LeaseAsync();
        foreach (var lease in Queue.Leases.Values) _ = TendAsync(lease.Run, run => ReconcileAsync(run, lease));
        var capacities = _nodes.Capacities(Queue);
        foreach (var demand in Queue.Waiting) _ = TendAsync(demand.Run, run => WaitAsync(run, Queue.WaitingFor(demand, capacities)));
    }

    /// <summary>A run that waits no more was cancelled, and its release was lost.</summary>
    private async Task WaitAsync(IRunGrain run, string waitingFor)
    {
        await TellAsync(run);
        if (await run.WaitAsync(waitingFor) == Answer.Stale && await run.StatusAsync() is { IsFinal: true } final)
            await this.AsReference<IClusterGrain>().ReleaseAsync(final);
    }

    /// <summary>Tells a run's grain of the run, unless it has heard.</summary>
    private async Task TellAsync(IRunGrain run)
    {
        if (!stored.State.Untold.TryGetValue(run.GetPrimaryKeyString(), out var queued)) return;
        await run.QueueAsync(queued);
        stored.State.Untold = stored.State.Untold.Remove(queued.Run); // stored with the next change: to tell it twice is harmless
    }

    /// <summary>Leases ranks to as many runs from the head of the queue as there are ranks for.</summary>
    private async Task LeaseAsync()
    {
        if (!_nodes.IsComplete) return; // the tick comes back to it
        while (Queue.LeaseNext(_nodes.Capacities(Queue)) is { Lease: { } lease } next)
        {
            await StoreAsync(next.Queue);
            _ = TendAsync(lease.Run, run => ReconcileAsync(run, lease));
        }
    }

    /// <summary>Brings a run and its lease together, whichever message between them was lost, and tells it of lost nodes.</summary>
    private async Task ReconcileAsync(IRunGrain run, Lease lease)
    {
        await TellAsync(run);
        var status = await run.StatusAsync();
        if (status.State == RunState.Queued && await run.StartAsync(lease) == Answer.Stale) status = await run.StatusAsync();
        if (status.IsFinal)
        {
            await this.AsReference<IClusterGrain>().ReleaseAsync(status);
            return;
        }
        foreach (var place in lease.Places.DistinctBy(p => p.Silo))
            if (_nodes.LossOf(place) is { } reason) await run.NodeLostAsync(place.Node, place.Silo, reason);
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
