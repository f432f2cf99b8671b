namespace Phi3VCluster.Grains.Runs;

/// <summary>How long a run's coordinator waits for its ranks.</summary>
public sealed record RunTimings
{
    /// <summary>From the opening of a generation until every rank has joined; a preflight reads files on slow disks.</summary>
    public TimeSpan Join { get; init; } = TimeSpan.FromMinutes(2);
    /// <summary>From an abort until every rank has said that it stopped.</summary>
    public TimeSpan Stop { get; init; } = TimeSpan.FromSeconds(10);

    internal TimeSpan Of(Protocol.RunTimer timer) => timer == Protocol.RunTimer.Join ? Join : Stop;
}
