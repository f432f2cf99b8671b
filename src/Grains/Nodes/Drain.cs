using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Nodes;

/// <param name="Most">How long a silo that stops waits for its seats to leave at a boundary.</param>
public sealed record DrainGrace(TimeSpan Most);

/// <summary>
/// Empties the node when its silo stops: first the runs are asked to leave it, where there is another node to go to; what is left after the
/// grace is ended, and the coordinators hear of it.
/// </summary>
internal sealed class Drain(
    IGrainFactory grains, IRankWorkers workers, ILocalSiloDetails silo, Heartbeat heartbeat, DrainGrace grace, IOptions<HostOptions> host,
    ILogger<Drain> log) : IHostedService
{
    private static readonly TimeSpan FarewellPatience = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return; // no time at all
        var rest = host.Value.ShutdownTimeout - FarewellPatience - TimeSpan.FromSeconds(1); // the silo itself wants a moment
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(rest < grace.Most ? rest > TimeSpan.Zero ? rest : TimeSpan.Zero : grace.Most);
        if (await SayStoppingAsync() && await HasOtherNodeAsync(patience.Token)) await UntilEmptyAsync(patience.Token);
        foreach (var seat in workers.Progress().Where(seat => !SeatReport.HasEnded(seat)))
            workers.Leave(seat.Id, long.MaxValue, StateStore.SiloStopped);
        using var farewell = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        farewell.CancelAfter(FarewellPatience);
        await UntilEmptyAsync(farewell.Token);
    }

    private async Task<bool> SayStoppingAsync()
    {
        try
        {
            await heartbeat.SayAsync(NodeState.Stopping).WaitAsync(FarewellPatience);
            return true;
        }
        catch (Exception e) // nobody will come to fetch the seats
        {
            log.HeartbeatFailed(e.Message);
            return false;
        }
    }

    private async Task<bool> HasOtherNodeAsync(CancellationToken stop)
    {
        try
        {
            var nodes = await grains.GetCluster().NodesAsync().WaitAsync(stop);
            return nodes.Any(node => node.Node != silo.Name && node is { State: NodeState.Ready, Ranks: > 0 });
        }
        catch (Exception e)
        {
            log.HeartbeatFailed(e.Message);
            return false;
        }
    }

    /// <summary>Until the reports have told everybody's end, and all threads have left.</summary>
    private async Task UntilEmptyAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested && (workers.Progress().Count > 0 || workers.Occupied().Count > 0))
            await Task.Delay(Look, CancellationToken.None);
    }
}
