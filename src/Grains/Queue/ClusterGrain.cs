using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Queue;

/// <summary>
/// The cluster's front desk: takes runs in, leases seats to them and takes the seats back. The rules are <see cref="GangQueue"/>'s.
/// Runs are told without waiting for them, so that one on a dying silo holds up nobody; a tick each second makes up for what was lost.
/// </summary>
[KeepAlive] // its tick has to go on
internal sealed class ClusterGrain(
    [PersistentState("cluster-2", StateStore.Name)] IPersistentState<StoredCluster> stored,
    SiloLiveness silos, ClusterShape shape, TimeProvider time, ILogger<ClusterGrain> log) : Grain, IClusterGrain
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StatusPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan TellPatience = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan TellAgain = TimeSpan.FromMilliseconds(20);

    private readonly NodeBook _nodes = new(silos.IsAlive, () => silos.Active, time);
    private readonly Dictionary<string, RunNeeds> _needs = []; // as the runs said last
    private readonly Dictionary<string, DateTimeOffset> _shortSince = []; // by the same answers
    private readonly HashSet<string> _tended = []; // runs that are being told or asked something: one thing at a time

    private GangQueue Queue => stored.State.Queue;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        StateFormat.Require(stored.State.Format, StoredCluster.ThisFormat, "the cluster");
        this.RegisterGrainTimer(TickAsync, new GrainTimerCreationOptions(Tick, Tick));
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        ClusterMetrics.Forget();
        return Task.CompletedTask;
    }

    public async Task<SubmitReply> SubmitAsync(SubmitRequest request)
    {
        if (!TryRead(request.SpecJson, out var spec, out var problems)) return Refuse([.. problems]);
        var now = time.GetUtcNow();
        var run = request.RunId ?? RunIds.New(spec.Name, now);
        var reply = new SubmitReply(run, Path.Combine(spec.Output, run), []);
        if (Queue.Knows(run) || stored.State.Ended.Exists(r => r.Run == run)) return reply; // submitted twice, for the answer was lost
        await QueueAsync(new QueuedRun(run, request.SpecJson, reply.Output, now));
        return reply;
    }

    public async Task<SubmitReply> ResumeAsync(ResumeRequest request)
    {
        var run = request.RunId;
        if (!TryRead(request.SpecJson, out var spec, out var problems)) return Refuse([.. problems]);
        var known = await FindAsync(run);
        if (Queue.Knows(run) || known is { IsFinal: false })
            return Refuse(
                $"run: must have ended to be resumed, got {run}, which is {(known?.State is RunState.Running ? "running" : "queued")}; "
                + $"wait for it, or end it with `phi3v cancel {run}`.");
        if (known is { State: RunState.Done } && !Resumption.HasMoreToDo(known, spec))
            return Refuse($"run: must have something left to do, got {run}, which is done after {known.Step} steps; "
                + "raise epochs or maxSteps, or submit a new run.");
        var output = known?.Output ?? request.Output;
        var queued = new QueuedRun(
            run, request.SpecJson, output, known?.SubmittedAt ?? time.GetUtcNow(), (known?.Life ?? -1) + 1, known?.SeatsNumbered ?? 0);
        await QueueAsync(queued);
        return new SubmitReply(run, output, []);
    }

    public async Task EnqueueAsync(QueuedRun run)
    {
        if (Queue.Knows(run.Run) || stored.State.Ended.Exists(r => r.Run == run.Run && r.Life >= run.Life)) return;
        stored.State.Enqueue(run, RankDemand.Of(run, SubmittedSpec.Parse(run.SpecJson)));
        await StoreAsync();
        await LeaseAsync();
    }

    public async Task RegisterNodeAsync(NodeInfo node)
    {
        _nodes.Hear(node);
        await LeaseAsync();
    }

    public async Task ReleaseAsync(RunStatus final)
    {
        if (Queue.DemandOf(final.Run) is not { } demand || demand.Life != final.Life) return; // what it says of an earlier life is old
        if (Queue.Leases.Runs.TryGetValue(final.Run, out var leased)) _nodes.Occupy(final.Run, leased.Seats);
        stored.State.End(final);
        _needs.Remove(final.Run);
        _shortSince.Remove(final.Run);
        await StoreAsync();
        await LeaseAsync();
    }

    public Task<IReadOnlyList<NodeInfo>> NodesAsync() => Task.FromResult(_nodes.All(Queue.Leases, stored.State.Draining));

    public async Task<IReadOnlyList<string>> DrainAsync(string node)
    {
        var nodes = await NodesAsync();
        if (Unknown(node, nodes) is { } problem) return [problem];
        if (!nodes.Any(other => other.Node != node && other is { State: NodeState.Ready, Ranks: > 0 }))
            return [$"node: must not be the only one that takes runs, got {node}; start another, or stop its runs with `phi3v cancel`."];
        await SetDrainingAsync(stored.State.Draining.Add(node));
        return [];
    }

    public async Task<IReadOnlyList<string>> UndrainAsync(string node)
    {
        if (!stored.State.Draining.Contains(node) && Unknown(node, await NodesAsync()) is { } problem) return [problem];
        await SetDrainingAsync(stored.State.Draining.Remove(node));
        return [];
    }

    public async Task<IReadOnlyList<string>> ForgetAsync(string run)
    {
        if (Queue.Knows(run)) return [$"run: must have ended to be forgotten, got {run}, which has not; end it with `phi3v cancel {run}`."];
        if (!stored.State.Forget(run)) return [$"run: must be one that ended on this cluster, got {run}; see `phi3v runs --all`."];
        await StoreAsync();
        await TendAsync(run, ForgetAsync);
        return [];
    }

    public Task<IReadOnlyList<string>> WaitingAsync() => Task.FromResult<IReadOnlyList<string>>([.. Queue.Waiting.Select(d => d.Run)]);

    public async Task<IReadOnlyList<RunStatus>> RunsAsync()
    {
        var active = await Task.WhenAll(Queue.Leases.Runs.Keys.Concat(Queue.Waiting.Select(d => d.Run)).Select(StatusOrLessAsync));
        return [.. stored.State.Ended.Concat(active).DistinctBy(r => r.Run).OrderByDescending(r => r.SubmittedAt)];
    }

    /// <summary>
    /// First the queue, in a turn of its own, so that nothing is lost; then the run's grain, which may be on a silo that is dying: it is
    /// waited for so that whoever asks for the run's status next gets one, but not for long, and told again until it answers.
    /// </summary>
    private async Task QueueAsync(QueuedRun run)
    {
        await this.AsReference<IClusterGrain>().EnqueueAsync(run);
        for (var since = time.GetTimestamp(); stored.State.Untold.ContainsKey(run.Run) && time.GetElapsedTime(since) < StatusPatience;)
        {
            await Task.WhenAny(TendAsync(run.Run, TellAsync), Task.Delay(StatusPatience));
            if (stored.State.Untold.ContainsKey(run.Run)) await Task.Delay(TellAgain);
        }
    }

    private bool TryRead(string specJson, out RunSpec spec, out IReadOnlyList<string> problems)
    {
        (spec, problems) = (new(), []);
        try
        {
            spec = SubmittedSpec.Parse(specJson);
        }
        catch (InputException e)
        {
            problems = e.Problems;
            return false;
        }
        if (!shape.Grows && DeviceProblem(spec) is { } never) problems = [never];
        return problems.Count == 0;
    }

    private static SubmitReply Refuse(params IReadOnlyList<string> problems) => new("", "", problems);

    private static string? Unknown(string node, IReadOnlyList<NodeInfo> nodes) => nodes.Any(known => known.Node == node)
        ? null
        : $"node: must be one of the cluster's, got {node}; {Nearest.Advice(node, [.. nodes.Select(known => known.Node)])}";

    /// <summary>A run for devices that this cluster has not, and never will, would wait for ever.</summary>
    private string? DeviceProblem(RunSpec spec)
    {
        var nodes = Capacities();
        if (nodes.Count == 0 || RankDemand.Of("", spec).Kinds().Any(kind => nodes.Any(node => node.Has(kind)))) return null;
        var devices = string.Join(", ", nodes.Select(n => n.Device).Distinct());
        return $"cluster.device: this cluster is one node, and it has {devices}, got {spec.Cluster.Device}; "
            + "write auto, or submit to a cluster that has such nodes.";
    }

    private async Task TickAsync()
    {
        _nodes.ForgetLongLost();
        await LeaseAsync();
        foreach (var run in Queue.Leases.Runs.Keys) _ = TendAsync(run, ReconcileAsync);
        var capacities = Capacities();
        foreach (var demand in Queue.Waiting) _ = TendAsync(demand.Run, run => WaitAsync(run, Queue.WaitingFor(demand, capacities)));
        foreach (var run in stored.State.Forgotten) _ = TendAsync(run, ForgetAsync);
        ClusterMetrics.Tell(await NodesAsync(), Queue);
    }

    private async Task ForgetAsync(IRunGrain run)
    {
        await run.ForgetAsync();
        stored.State.Forgotten = stored.State.Forgotten.Remove(run.GetPrimaryKeyString()); // stored with the next change, as what is told
    }

    /// <summary>A run that waits no more was cancelled, and its release was lost.</summary>
    private async Task WaitAsync(IRunGrain run, string waitingFor)
    {
        await TellAsync(run);
        if (await run.WaitAsync(waitingFor) == Acknowledgement.Stale && await run.StatusAsync() is { IsFinal: true } final)
            await this.AsReference<IClusterGrain>().ReleaseAsync(final);
    }

    /// <summary>Tells a run's grain of the run, unless it has heard.</summary>
    private async Task TellAsync(IRunGrain run)
    {
        if (!stored.State.Untold.TryGetValue(run.GetPrimaryKeyString(), out var queued)) return;
        await run.QueueAsync(queued);
        stored.State.Untold = stored.State.Untold.Remove(queued.Run); // stored with the next change: to tell it twice is harmless
    }

    /// <summary>Leases seats to as many runs from the head of the queue as there are places for.</summary>
    private async Task LeaseAsync()
    {
        if (!_nodes.IsComplete) return; // the tick comes back to it
        while (!AnyoneIsOwed() && Queue.LeaseNext(Capacities()) is { Lease: { } lease } next)
        {
            stored.State.Queue = next.Queue;
            await StoreAsync();
            _ = TendAsync(lease.Demand.Run, ReconcileAsync);
        }
    }

    private bool AnyoneIsOwed()
    {
        var nodes = Capacities();
        return Queue.Leases.Runs.Any(run =>
        {
            var said = _needs.GetValueOrDefault(run.Key);
            var live = run.Value.Seats.Count(place => _nodes.LossOf(place) is null);
            return said is not { Wants: 0 } && Queue.IsOwed(run.Value, live, said?.Refusing ?? [], nodes);
        });
    }

    /// <summary>Brings a run and its lease together, whichever message between them was lost.</summary>
    private async Task ReconcileAsync(IRunGrain run)
    {
        await TellAsync(run);
        var name = run.GetPrimaryKeyString();
        if (!Queue.Leases.Runs.TryGetValue(name, out var leased)) return;
        // Until all nodes have been heard, runs seem to be short that are not.
        var recalled = _nodes.IsComplete ? Queue.Recalled(Capacities()).GetValueOrDefault(name, []) : [];
        var needs = await run.TendAsync(
            new(leased.ToLease(), Lost(leased), Draining(leased), Yields: WhoYields() == name, Recalled: recalled));
        Remember(name, needs);
        if (needs.Final is { } final)
        {
            await this.AsReference<IClusterGrain>().ReleaseAsync(final);
            return;
        }
        if (needs.GivenUp.Count == 0 && needs.Wants == 0 && !needs.HasYielded) return;
        var hasGrown = await this.AsReference<IClusterGrain>().AdjustAsync(name, leased.Demand.Life, needs);
        if (hasGrown && Queue.Leases.Runs.TryGetValue(name, out var grown))
            await run.TendAsync(new(grown.ToLease(), Lost(grown), Draining(grown)));
    }

    public async Task<bool> AdjustAsync(string run, int life, RunNeeds needs)
    {
        if (!Queue.Leases.Runs.TryGetValue(run, out var leased) || leased.Demand.Life != life) return false;
        _nodes.Occupy(run, leased.Seats.Where(place => needs.GivenUp.Contains(place.Seat)));
        var queue = needs.HasYielded && leased.NextSeat == needs.NextSeat ? Queue.Yield(run) : Queue.GiveUp(run, needs.GivenUp);
        if (_nodes.IsComplete) queue = queue.Grow(run, needs, _nodes.Capacities(queue.Leases, stored.State.Draining));
        if (ReferenceEquals(queue, Queue)) return false;
        stored.State.Queue = queue;
        await StoreAsync();
        await LeaseAsync();
        return queue.Leases.Runs.TryGetValue(run, out var now) && now.NextSeat != leased.NextSeat;
    }

    private void Remember(string run, RunNeeds needs)
    {
        _needs[run] = needs;
        if (needs.IsShort && needs.Wants > 0) _shortSince.TryAdd(run, time.GetUtcNow());
        else _shortSince.Remove(run);
    }

    /// <summary>A run that has been short for long, where what it has is of use to another; null if nobody is to yield.</summary>
    private string? WhoYields()
    {
        if (_shortSince.Count == 0) return null;
        var now = time.GetUtcNow();
        return Queue.WhoYields(
            from run in _shortSince
            where Queue.Leases.Runs.TryGetValue(run.Key, out var leased)
                && now - run.Value >= TimeSpan.FromSeconds(leased.Demand.ShortSeconds)
            select run.Key, Capacities());
    }

    private IReadOnlyList<LostSilo> Lost(Leased leased) =>
    [
        .. from place in leased.Seats.DistinctBy(p => p.Silo)
           let reason = _nodes.LossOf(place)
           where reason is not null
           select new LostSilo(place.Silo, reason),
    ];

    private IReadOnlyList<DrainingNode> Draining(Leased leased) =>
    [
        .. from node in _nodes.All(Queue.Leases, stored.State.Draining)
           where node.State is NodeState.Draining or NodeState.Stopping && leased.Seats.Exists(place => place.Node == node.Node)
           select new DrainingNode(node.Node, node.State == NodeState.Stopping),
    ];

    private IReadOnlyList<NodeCapacity> Capacities() => _nodes.Capacities(Queue.Leases, stored.State.Draining);

    private async Task SetDrainingAsync(ImmutableSortedSet<string> draining)
    {
        if (ReferenceEquals(draining, stored.State.Draining)) return;
        stored.State.Draining = draining;
        await StoreAsync();
        foreach (var run in Queue.Leases.Runs.Keys) _ = TendAsync(run, ReconcileAsync);
    }

    /// <summary>Tells a run something without being waited for; what did not arrive is said again at the next tick.</summary>
    private async Task TendAsync(string run, Func<IRunGrain, Task> what)
    {
        if (!_tended.Add(run)) return;
        try
        {
            await what(GrainFactory.GetRun(run)).WaitAsync(TellPatience);
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

    private async Task<RunStatus?> FindAsync(string run)
    {
        try
        {
            return await GrainFactory.GetRun(run).StatusAsync();
        }
        catch (RunNotFoundException)
        {
            return null;
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
}
