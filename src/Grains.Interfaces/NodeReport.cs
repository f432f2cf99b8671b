namespace Phi3VCluster.Grains.Interfaces;

/// <summary>Where all seats of one run on one node are.</summary>
/// <param name="Silo">Address of the node's silo.</param>
/// <param name="Number">One more with each report of the silo: one that was late says nothing any more.</param>
[GenerateSerializer, Immutable, Alias("phi3v.NodeReport")]
public sealed record NodeReport(
    [property: Id(0)] string Silo,
    [property: Id(1)] long Number,
    [property: Id(2)] IReadOnlyList<RankReport> Seats);

/// <param name="Stale">Seats that the run does not have, or no more. They are told to leave.</param>
/// <param name="Version">Of the state that says so.</param>
[GenerateSerializer, Immutable, Alias("phi3v.ReportReply")]
public sealed record ReportReply(
    [property: Id(0)] IReadOnlyList<int> Stale,
    [property: Id(1)] long Version);

/// <summary>Where a seat is; the numbers of the run as a whole are the same on every seat.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.RankReport")]
public sealed record RankReport
{
    [Id(0)] public required int Seat { get; init; }
    [Id(1)] public required ReportedPhase Phase { get; init; }
    /// <summary>The last that it was told to join; 0 before the first.</summary>
    [Id(2)] public long Generation { get; init; }
    /// <summary>In that generation; -1 before the first.</summary>
    [Id(3)] public int Rank { get; init; } = -1;
    /// <summary>Of a parked seat.</summary>
    [Id(4)] public ReportedOffer? Offer { get; init; }
    [Id(5)] public ReportedFault Fault { get; init; }
    [Id(6)] public string? Error { get; init; }
    /// <summary>The rank to whom the connection broke.</summary>
    [Id(7)] public int? BadPeer { get; init; }
    /// <summary>Its machine said that nobody is there.</summary>
    [Id(23)] public bool BadPeerMayBeGone { get; init; }
    /// <summary>Last committed step, from 1; 0 before the first.</summary>
    [Id(8)] public long Step { get; init; }
    [Id(9)] public long TotalSteps { get; init; }
    /// <summary>Epochs finished.</summary>
    [Id(10)] public int Epoch { get; init; }
    [Id(11)] public double? Loss { get; init; }
    [Id(12)] public double? LearningRate { get; init; }
    [Id(13)] public double? GradNorm { get; init; }
    [Id(14)] public double? ImagesPerSecond { get; init; }
    /// <summary>Rank 0 only.</summary>
    [Id(15)] public double? EvalBefore { get; init; }
    /// <summary>Rank 0 only.</summary>
    [Id(16)] public double? EvalAfter { get; init; }
    /// <summary>Seconds of training steps so far.</summary>
    [Id(17)] public double TrainSeconds { get; init; }
    /// <summary>Rank 0 only: lines for the run's log; ever more, never others.</summary>
    [Id(18)] public IReadOnlyList<string> Notes { get; init; } = [];
    /// <summary>How far it is with what takes long within its phase; null where nothing is counted.</summary>
    [Id(19)] public ReportedPart? Part { get; init; }
    /// <summary>The newest step that a complete checkpoint holds; 0 for none.</summary>
    [Id(20)] public long CheckpointStep { get; init; }
    /// <summary>Operations between the ranks of the generation that it has entered: all enter the same, in one order.</summary>
    [Id(21)] public long Entered { get; init; }
    /// <summary>Of a step: the median of the last; null before the first.</summary>
    [Id(22)] public double? StepSeconds { get; init; }
    /// <summary>The CUDA device that it computes on; null on a CPU, and before it has one.</summary>
    [Id(24)] public int? Device { get; init; }
}

/// <summary>What a parked seat says of itself.</summary>
/// <param name="Address">Where peers reach it; good for one attempt.</param>
/// <param name="Generation">The newest that its state comes from; 0 for the start.</param>
/// <param name="IsLive">The state is in memory; otherwise in a checkpoint, or it is the start.</param>
/// <param name="Fingerprint">Of spec, base checkpoint and dataset.</param>
/// <param name="Courier">Where others find the parts that the seat holds; empty where it has none.</param>
/// <param name="Held">Parts of a sharded state in its host memory.</param>
[GenerateSerializer, Immutable, Alias("phi3v.ReportedOffer")]
public sealed record ReportedOffer(
    [property: Id(0)] string Address,
    [property: Id(1)] long Generation,
    [property: Id(2)] long Step,
    [property: Id(3)] ReportedStage Stage,
    [property: Id(4)] bool IsLive,
    [property: Id(5)] string Fingerprint,
    [property: Id(6)] string Courier = "",
    [property: Id(7)] IReadOnlyList<ReportedShards>? Held = null);

/// <summary>Parts of one version of a sharded state that a seat holds.</summary>
/// <param name="Generation">With the step, the version.</param>
/// <param name="Stage">What comes next there; null where the seat holds others' parts alone.</param>
/// <param name="WorldSize">Ranks that the version is cut for.</param>
/// <param name="Ranks">Whose parts.</param>
[GenerateSerializer, Immutable, Alias("phi3v.ReportedShards")]
public sealed record ReportedShards(
    [property: Id(0)] long Generation,
    [property: Id(1)] long Step,
    [property: Id(2)] ReportedStage? Stage,
    [property: Id(3)] int WorldSize,
    [property: Id(4)] IReadOnlyList<int> Ranks);

/// <param name="Unit">What is counted: bytes, samples, passes …</param>
[GenerateSerializer, Immutable, Alias("phi3v.ReportedPart")]
public sealed record ReportedPart(
    [property: Id(0)] string Unit,
    [property: Id(1)] long Done,
    [property: Id(2)] long Total);

/// <summary>The data plane's phases of a seat, as they travel.</summary>
[GenerateSerializer, Alias("phi3v.ReportedPhase")]
public enum ReportedPhase
{
    Loading = 0,
    EvaluatingBefore = 1,
    Training = 2,
    EvaluatingAfter = 4,
    Exporting = 5,
    Finished = 6,
    Failed = 7,
    Stopped = 8,
    Parked = 9,
    Joining = 10,
}

/// <summary>The data plane's stages of a run, as they travel.</summary>
[GenerateSerializer, Alias("phi3v.ReportedStage")]
public enum ReportedStage
{
    EvaluateBefore,
    Step,
    Evaluate,
    Export,
    EvaluateAfter,
    Report,
    End,
}

/// <summary>The data plane's kinds of fault, as they travel.</summary>
[GenerateSerializer, Alias("phi3v.ReportedFault")]
public enum ReportedFault
{
    None,
    Run,
    Seat,
    Echo,
}
