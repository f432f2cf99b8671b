using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>Where a job stands.</summary>
public enum JobState
{
    Running,
    /// <summary><see cref="JobProgress.ResultJson"/> is there.</summary>
    Done,
    /// <summary>The input is wrong: <see cref="JobProgress.Problems"/>.</summary>
    Refused,
    /// <summary>It broke: <see cref="JobProgress.Error"/>.</summary>
    Failed,
    Cancelled,
}

/// <summary>Where a job is.</summary>
/// <param name="Phase">For people.</param>
public sealed record JobProgress(JobState State, string Phase)
{
    /// <summary>Samples done, of <see cref="Total"/>; both 0 where nothing is counted.</summary>
    public int Done { get; init; }
    public int Total { get; init; }
    /// <summary>The job's result, as <see cref="ModelJobJson"/> writes it.</summary>
    public string? ResultJson { get; init; }
    public IReadOnlyList<string> Problems { get; init; } = [];
    public string? Error { get; init; }
}
