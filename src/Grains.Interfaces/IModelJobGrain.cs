namespace Phi3VCluster.Grains.Interfaces;

/// <summary>
/// A job on the node that its key ends with (<see cref="GrainKeys.GetModelJob"/>). Every call returns at once and may be repeated.
/// A job that nobody asks about for a minute is dropped: whoever started it is gone.
/// </summary>
[Alias("phi3v.IModelJobGrain")]
public interface IModelJobGrain : IGrainWithStringKey
{
    /// <param name="jobJson">A <see cref="Spec.Jobs.ModelJob"/> as <see cref="Spec.Jobs.ModelJobJson"/> writes it.</param>
    [Alias("Start")]
    Task StartAsync(string jobJson);

    [Alias("Status")]
    Task<ModelJobStatus> StatusAsync();

    [Alias("Cancel")]
    Task<ModelJobStatus> CancelAsync();
}

/// <summary>Where a job is, and in the end what came of it.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.ModelJobStatus")]
public sealed record ModelJobStatus
{
    [Id(0)] public required ModelJobState State { get; init; }
    /// <summary>For people.</summary>
    [Id(1)] public string Phase { get; init; } = "";
    /// <summary>Samples done, of <see cref="Total"/>; both 0 where nothing is counted.</summary>
    [Id(2)] public int Done { get; init; }
    [Id(3)] public int Total { get; init; }
    /// <summary>When done, as <see cref="Spec.Jobs.ModelJobJson"/> writes it.</summary>
    [Id(4)] public string? ResultJson { get; init; }
    /// <summary>When refused: each "where: what is wrong, got X; do Y."</summary>
    [Id(5)] public IReadOnlyList<string> Problems { get; init; } = [];
    /// <summary>When failed.</summary>
    [Id(6)] public string? Error { get; init; }
}

/// <summary>Where a job stands.</summary>
[GenerateSerializer, Alias("phi3v.ModelJobState")]
public enum ModelJobState
{
    Running,
    Done,
    /// <summary>The input is wrong.</summary>
    Refused,
    /// <summary>It broke.</summary>
    Failed,
    Cancelled,
    /// <summary>The node does not know it: its silo was restarted.</summary>
    Lost,
}
