using System.Collections.Concurrent;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Nodes;

/// <summary>
/// A node's voice: a heartbeat to the cluster, and for each run one report of all local ranks, every second or as soon as somebody
/// waits for it. When the silo stops, it ends the ranks first and sees that their coordinators hear of it.
/// </summary>
public sealed class NodeReporter : BackgroundService
{
    private static readonly TimeSpan HeartbeatPeriod = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan HeartbeatPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ReportPeriod = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FarewellPatience = TimeSpan.FromSeconds(3);

    private readonly IGrainFactory _grains;
    private readonly IRankWorkers _workers;
    private readonly ILocalSiloDetails _silo;
    private readonly ILogger<NodeReporter> _log;
    private readonly SemaphoreSlim _reportSoon = new(0), _beatSoon = new(0);
    private readonly ConcurrentDictionary<string, bool> _underway = new(); // runs whose report is on its way; true: send another at once
    private readonly TaskCompletionSource _registered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile NodeState _state = NodeState.Ready;
    private volatile int _occupied; // as the last heartbeat said

    public NodeReporter(IGrainFactory grains, IRankWorkers workers, ILocalSiloDetails silo, ILogger<NodeReporter> log)
    {
        (_grains, _workers, _silo, _log) = (grains, workers, silo, log);
        _workers.ReportSoon += () => _reportSoon.Release();
    }

    /// <summary>Ends with the first heartbeat that the cluster has answered: from then on the node is given ranks.</summary>
    public Task Registered => _registered.Task;

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        _state = NodeState.Stopping;
        var farewell = SayFarewellAsync();
        await Task.WhenAny(farewell, Task.Delay(FarewellPatience, cancellationToken));
        await base.StopAsync(cancellationToken);
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(BeatAsync(stoppingToken), ReportLoopAsync(stoppingToken));

    private async Task BeatAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await RegisterAsync().WaitAsync(HeartbeatPatience, stop);
                _registered.TrySetResult();
            }
            catch (Exception e) when (!stop.IsCancellationRequested) // the cluster's grain moves to another silo, or the network is down
            {
                _log.HeartbeatFailed(e.Message);
            }
            if (!await WaitAsync(_beatSoon, HeartbeatPeriod, stop)) return;
        }
    }

    private async Task ReportLoopAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            foreach (var run in _workers.Progress().GroupBy(p => p.Id.Run)) _ = ReportAsync(run.Key);
            if (_workers.Occupied().Count < _occupied) _beatSoon.Release(); // somebody may be waiting for the place
            if (!await WaitAsync(_reportSoon, ReportPeriod, stop)) return;
        }
    }

    /// <summary>One report at a time for each run, so that a coordinator that does not answer delays no other run's.</summary>
    private async Task ReportAsync(string run)
    {
        if (!_underway.TryAdd(run, false))
        {
            _underway.TryUpdate(run, true, false);
            return;
        }
        try
        {
            var ranks = _workers.Progress().Where(p => p.Id.Run == run).ToList();
            var reply = await _grains.GetRun(run).ReportAsync(new NodeReport(_silo.Name, [.. ranks.Select(ToWire)]));
            var stale = reply.Stale.ToHashSet();
            foreach (var rank in ranks)
                Obey(rank, stale.Contains(new StaleRank(rank.Id.Generation, rank.Id.Rank)) ? $"{run} went on without this rank" : null);
        }
        catch (RunNotFoundException) // its state is lost: nobody will ever ask for these ranks
        {
            foreach (var rank in _workers.Progress().Where(p => p.Id.Run == run)) Obey(rank, "nobody knows the run");
        }
        catch (Exception e) // its silo may be dying; the next report goes to wherever the coordinator comes back
        {
            _log.ReportFailed(run, e.Message);
        }
        _underway.TryRemove(run, out var again);
        if (again) _reportSoon.Release();
    }

    /// <summary>A rank that has ended, and whose end was heard, is forgotten; one that runs on for nobody is ended.</summary>
    /// <param name="over">Why nobody wants it any more; null if somebody does.</param>
    private void Obey(RankProgress rank, string? over)
    {
        if (HasEnded(rank)) _workers.Forget(rank.Id);
        else if (over is not null) _workers.Abort(rank.Id, over);
    }

    private async Task SayFarewellAsync()
    {
        try
        {
            await RegisterAsync(); // as stopping: no new ranks come
        }
        catch (Exception e)
        {
            _log.HeartbeatFailed(e.Message);
        }
        foreach (var rank in _workers.Progress().Where(r => !HasEnded(r))) _workers.Abort(rank.Id, StateStore.SiloStopped);
        while (_workers.Progress().Count > 0) await Task.Delay(TimeSpan.FromMilliseconds(20)); // the report loop forgets them
    }

    private Task RegisterAsync()
    {
        var occupied = _workers.Occupied();
        _occupied = occupied.Count;
        return _grains.GetCluster().RegisterNodeAsync(new NodeInfo
        {
            Node = _silo.Name,
            Silo = _silo.SiloAddress.ToParsableString(),
            ProcessId = Environment.ProcessId,
            Ranks = _workers.Capacity,
            Device = _workers.Device,
            State = _state,
            Occupied = [.. occupied.Select(rank => new OccupiedRank(rank.Run, rank.Rank)).Distinct()],
        });
    }

    private static bool HasEnded(RankProgress rank) => rank.Phase is RankPhase.Finished or RankPhase.Failed or RankPhase.Stopped;

    /// <summary>Until somebody asks for it or the time is over; all who asked by then are answered at once.</summary>
    /// <returns>False if the service stops.</returns>
    private static async Task<bool> WaitAsync(SemaphoreSlim soon, TimeSpan period, CancellationToken stop)
    {
        try
        {
            await soon.WaitAsync(period, stop);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
        while (soon.CurrentCount > 0) await soon.WaitAsync(CancellationToken.None);
        return true;
    }

    internal static RankReport ToWire(RankProgress p) => new()
    {
        Generation = p.Id.Generation,
        Rank = p.Id.Rank,
        Phase = (ReportedPhase)p.Phase, // the two enums are one list; a test compares them
        Step = p.Step,
        TotalSteps = p.TotalSteps,
        Epoch = p.Epoch,
        Loss = p.Loss,
        LearningRate = p.LearningRate,
        GradNorm = p.GradNorm,
        ImagesPerSecond = p.ImagesPerSecond,
        EvalBefore = p.EvalBefore,
        EvalAfter = p.EvalAfter,
        Error = p.Error,
        TrainSeconds = p.TrainSeconds,
        Notes = p.Notes,
        Address = p.Address,
        IsEcho = p.IsEcho,
        Part = p.Part is { } part ? new(part.Unit, part.Done, part.Total) : null,
    };
}
