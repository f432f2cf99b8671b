using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Nodes;

/// <summary>Tells the cluster every two seconds that the node is there, what it has, and who occupies it.</summary>
public sealed class Heartbeat(
    IGrainFactory grains, IRankWorkers workers, ILocalSiloDetails silo, ILogger<Heartbeat> log) : BackgroundService
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly DateTimeOffset _startedAt = DateTimeOffset.UtcNow;
    private readonly Signal _soon = new();
    private readonly TaskCompletionSource _registered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile NodeState _state = NodeState.Ready;
    private volatile int _occupied; // as the last one said

    /// <summary>Ends with the first that the cluster has answered: from then on the node is given seats.</summary>
    public Task Registered => _registered.Task;

    /// <summary>From now on the node is in this state, and the cluster hears it at once.</summary>
    /// <param name="state">Stopping: it takes no more runs, and those that it has are to leave it soon.</param>
    public Task SayAsync(NodeState state)
    {
        _state = state;
        return RegisterAsync();
    }

    /// <summary>Somebody may be waiting for a place that was left.</summary>
    internal void BeatIfLeft()
    {
        if (workers.Occupied().Count < _occupied) _soon.Raise();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        do
        {
            try
            {
                await RegisterAsync().WaitAsync(Patience, stoppingToken);
                _registered.TrySetResult();
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                // The cluster's grain moves to another silo, or the network is down.
                log.HeartbeatFailed(e.Message);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
        while (await _soon.WaitAsync(Period, stoppingToken));
    }

    private Task RegisterAsync()
    {
        var occupied = workers.Occupied();
        _occupied = occupied.Count;
        return grains.GetCluster().RegisterNodeAsync(new NodeInfo
        {
            Node = silo.Name,
            Silo = silo.SiloAddress.ToParsableString(),
            ProcessId = Environment.ProcessId,
            Ranks = workers.Capacity,
            Device = workers.Device,
            State = _state,
            StartedAt = _startedAt,
            Occupied = [.. occupied.Select(seat => new OccupiedSeat(seat.Run, seat.Seat))],
        });
    }
}
