namespace Phi3VCluster.Grains.Interfaces;

/// <summary>Where all ranks of one run on one node are.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.NodeReport")]
public sealed record NodeReport(
    [property: Id(0)] string Node,
    [property: Id(1)] IReadOnlyList<RankReport> Ranks);

/// <param name="Stale">Ranks of a generation or a run that is over. Whoever still runs one aborts it.</param>
[GenerateSerializer, Immutable, Alias("phi3v.ReportReply")]
public sealed record ReportReply(
    [property: Id(0)] IReadOnlyList<StaleRank> Stale);

[GenerateSerializer, Immutable, Alias("phi3v.StaleRank")]
public sealed record StaleRank(
    [property: Id(0)] long Generation,
    [property: Id(1)] int Rank);

/// <summary>Where a rank is; the numbers of the run as a whole are the same on every rank.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.RankReport")]
public sealed record RankReport
{
    [Id(0)] public required long Generation { get; init; }
    [Id(1)] public required int Rank { get; init; }
    [Id(2)] public required ReportedPhase Phase { get; init; }
    /// <summary>Last committed step, from 1; 0 before the first.</summary>
    [Id(3)] public long Step { get; init; }
    [Id(4)] public long TotalSteps { get; init; }
    /// <summary>Epochs finished; at a barrier, the one that waits to be passed.</summary>
    [Id(5)] public int Epoch { get; init; }
    [Id(6)] public double? Loss { get; init; }
    [Id(7)] public double? LearningRate { get; init; }
    [Id(8)] public double? GradNorm { get; init; }
    [Id(9)] public double? ImagesPerSecond { get; init; }
    /// <summary>Rank 0 only.</summary>
    [Id(10)] public double? EvalBefore { get; init; }
    /// <summary>Rank 0 only.</summary>
    [Id(11)] public double? EvalAfter { get; init; }
    [Id(12)] public string? Error { get; init; }
    /// <summary>Seconds of training steps so far.</summary>
    [Id(13)] public double TrainSeconds { get; init; }
    /// <summary>Rank 0 only: lines for the run's log; ever more, never others.</summary>
    [Id(14)] public IReadOnlyList<string> Notes { get; init; } = [];
    /// <summary>How far the rank is with what takes long within its phase; null where nothing is counted.</summary>
    [Id(15)] public ReportedPart? Part { get; init; }
    /// <summary>Where its peers reach it: a prepared rank's report is its join, repeated.</summary>
    [Id(20)] public string Address { get; init; } = "";
    /// <summary>The error is that of a connection or a peer, not the rank's own.</summary>
    [Id(21)] public bool IsEcho { get; init; }
}

/// <param name="Unit">What is counted: bytes, samples, passes …</param>
[GenerateSerializer, Immutable, Alias("phi3v.ReportedPart")]
public sealed record ReportedPart(
    [property: Id(0)] string Unit,
    [property: Id(1)] long Done,
    [property: Id(2)] long Total);

/// <summary>The data plane's phases of a rank, as they travel.</summary>
[GenerateSerializer, Alias("phi3v.ReportedPhase")]
public enum ReportedPhase
{
    Starting = 0,
    EvaluatingBefore = 1,
    Training = 2,
    AtBarrier = 3,
    EvaluatingAfter = 4,
    Exporting = 5,
    Finished = 6,
    Failed = 7,
    Stopped = 8,
    Prepared = 9,
}
