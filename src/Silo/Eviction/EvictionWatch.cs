using System.Text.Json;
using Orleans.Runtime;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Nodes;

namespace Phi3VCluster.Silo.Eviction;

/// <summary>
/// Asks each second whether this machine is to be taken away, and says then that the node stops: its runs leave it at a step's end, where
/// others can go on. If that is called off, the node takes runs again.
/// </summary>
internal sealed partial class EvictionWatch(
    SiloSettings settings, Heartbeat heartbeat, TimeProvider time, ILogger<EvictionWatch> log) : BackgroundService
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private string? _machine;
    private bool _leaves, _isSilent;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var metadata = new MachineMetadata(settings.ScheduledEvents!);
        using var timer = new PeriodicTimer(Period);
        try
        {
            do await LookAsync(metadata, stoppingToken);
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // the silo ends
        }
    }

    private async Task LookAsync(MachineMetadata metadata, CancellationToken stop)
    {
        try
        {
            _machine ??= await metadata.NameAsync(stop);
            var events = await metadata.EventsAsync(stop);
            if (_isSilent) log.Answers(settings.ScheduledEvents!);
            _isSilent = false;
            var end = events.FirstOrDefault(one => one.EndsSoon(_machine, time.GetUtcNow()));
            if (end is null == !_leaves) return;
            if (end is not null) log.IsTakenAway(_machine, end.EventType, string.IsNullOrEmpty(end.NotBefore) ? "now" : end.NotBefore);
            else log.Stays(_machine);
            _leaves = end is not null;
            await SayAsync(_leaves ? NodeState.Stopping : NodeState.Ready);
        }
        catch (Exception error) when (error is HttpRequestException or JsonException
            || error is OperationCanceledException && !stop.IsCancellationRequested) // it took too long
        {
            if (!_isSilent) log.IsSilent(settings.ScheduledEvents!, error.Message);
            _isSilent = true;
        }
    }

    private async Task SayAsync(NodeState state)
    {
        try
        {
            await heartbeat.SayAsync(state);
        }
        catch (Exception error) when (error is OrleansException or TimeoutException)
        {
            // the next beat, in two seconds, says it too
        }
    }
}

internal static partial class EvictionLog
{
    [LoggerMessage(LogLevel.Warning, "This machine, {Machine}, is to be taken away ({Kind}, not before {When}): its runs are asked to "
        + "leave")]
    public static partial void IsTakenAway(this ILogger log, string machine, string kind, string when);

    [LoggerMessage(LogLevel.Warning, "This machine, {Machine}, stays after all: it takes runs again")]
    public static partial void Stays(this ILogger log, string machine);

    [LoggerMessage(LogLevel.Warning, "--scheduled-events: {Address} cannot be asked: {Reason}; until it can, a machine that is taken away "
        + "is a lost node")]
    public static partial void IsSilent(this ILogger log, Uri address, string reason);

    [LoggerMessage(LogLevel.Warning, "--scheduled-events: {Address} answers")]
    public static partial void Answers(this ILogger log, Uri address);
}
