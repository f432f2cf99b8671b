namespace Phi3VCluster.Client.Hub;

/// <summary>How long the hub is waited for. Tests put other clocks in.</summary>
internal sealed record HubTiming
{
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    public Func<TimeSpan, CancellationToken, Task> Delay { get; init; } = Task.Delay;

    /// <summary>From 0 to 1; spreads the waits of those who were refused together.</summary>
    public Func<double> Chance { get; init; } = Random.Shared.NextDouble;

    /// <summary>A connection on which nothing comes for so long is given up.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(30);
}
