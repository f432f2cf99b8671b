namespace Phi3VCluster.Grains.Runs;

/// <summary>How long a run's coordinator waits for its ranks.</summary>
public sealed record RunTimings
{
    /// <summary>From the opening of a generation until every rank has joined; a preflight reads files on slow disks.</summary>
    public TimeSpan Join { get; init; } = TimeSpan.FromMinutes(2);
    /// <summary>Until ranks that have not joined are asked again, in case they were not reached.</summary>
    public TimeSpan AskAgain { get; init; } = TimeSpan.FromSeconds(1);
    /// <summary>From an abort until every rank has said that it stopped.</summary>
    public TimeSpan Stop { get; init; } = TimeSpan.FromSeconds(10);

    internal TimeSpan Of(Protocol.RunTimer timer) => timer switch
    {
        Protocol.RunTimer.Join => Join,
        Protocol.RunTimer.AskAgain => AskAgain,
        _ => Stop,
    };
}
