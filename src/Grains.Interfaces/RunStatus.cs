namespace Phi3VCluster.Grains.Interfaces;

/// <summary>Where a run stands; the last three are final.</summary>
[GenerateSerializer, Alias("phi3v.RunState")]
public enum RunState
{
    Queued,
    /// <summary>Has its seats: they gather, train, evaluate, regroup or stop.</summary>
    Running,
    Done,
    Failed,
    Cancelled,
}

/// <summary>All that is known of a run at a glance.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.RunStatus")]
public sealed record RunStatus
{
    [Id(0)] public required string Run { get; init; }
    /// <summary>Name of the spec.</summary>
    [Id(1)] public string Name { get; init; } = "";
    [Id(2)] public RunState State { get; init; }
    /// <summary>What it does within its state: queued, gathering, training, parting, regrouping, short, stopping …</summary>
    [Id(3)] public string Phase { get; init; } = "";
    /// <summary>Last committed step; 0 before the first.</summary>
    [Id(4)] public long Step { get; init; }
    [Id(5)] public long TotalSteps { get; init; }
    /// <summary>Epochs finished.</summary>
    [Id(6)] public int Epoch { get; init; }
    [Id(7)] public int Epochs { get; init; }
    [Id(8)] public double? Loss { get; init; }
    [Id(9)] public double? LearningRate { get; init; }
    [Id(10)] public double? GradNorm { get; init; }
    /// <summary>Over all ranks.</summary>
    [Id(11)] public double? ImagesPerSecond { get; init; }
    /// <summary>Of the present generation, or of the last; 0 before the first.</summary>
    [Id(12)] public int WorldSize { get; init; }
    [Id(13)] public long Generation { get; init; }
    /// <summary>
    /// What a run that waits is waiting for; of one that has begun, why: "regrouping after n2 was lost: 2 of 3 seats parked".
    /// </summary>
    [Id(14)] public string? WaitingFor { get; init; }
    [Id(15)] public string? Error { get; init; }
    [Id(16)] public IReadOnlyList<NodeRanks> Nodes { get; init; } = [];
    /// <summary>Name of the metric that the evaluations measure.</summary>
    [Id(17)] public string? Metric { get; init; }
    [Id(18)] public double? EvalBefore { get; init; }
    [Id(19)] public double? EvalAfter { get; init; }
    /// <summary>The run's folder of results.</summary>
    [Id(20)] public string Output { get; init; } = "";
    /// <summary>From the lease to the end, or to now.</summary>
    [Id(21)] public double Seconds { get; init; }
    /// <summary>Seconds of training steps.</summary>
    [Id(22)] public double TrainSeconds { get; init; }
    [Id(23)] public DateTimeOffset SubmittedAt { get; init; }
    [Id(24)] public DateTimeOffset? StartedAt { get; init; }
    [Id(25)] public DateTimeOffset? FinishedAt { get; init; }
    /// <summary>What the run had to say before it began: in which types it keeps what.</summary>
    [Id(26)] public IReadOnlyList<string> Notes { get; init; } = [];
    /// <summary>How far rank 0 is with what takes long within the phase; null where nothing is counted.</summary>
    [Id(27)] public ReportedPart? Part { get; init; }

    /// <summary>The newest generations, oldest first.</summary>
    [Id(28)] public IReadOnlyList<FormedGeneration> Generations { get; init; } = [];
    /// <summary>How often it was resumed.</summary>
    [Id(29)] public int Life { get; init; }
    /// <summary>Seats that were ever numbered: those of a resumed run go on from there.</summary>
    [Id(30)] public int SeatsNumbered { get; init; }
    /// <summary>The newest step that a complete checkpoint holds; 0 for none.</summary>
    [Id(31)] public long CheckpointStep { get; init; }
    /// <summary>Of a step: the median of the last; null before the first.</summary>
    [Id(32)] public double? StepSeconds { get; init; }

    /// <summary>Of the spec: the higher goes first.</summary>
    [Id(33)] public int Priority { get; init; }

    /// <summary>Done, failed or cancelled: nothing will change any more.</summary>
    public bool IsFinal => State is RunState.Done or RunState.Failed or RunState.Cancelled;
}

/// <summary>How a generation of a run came about.</summary>
/// <param name="Cause">"start", "resume", "n2 was lost" …</param>
/// <param name="FirstStep">The first that it trains.</param>
/// <param name="Seconds">From its cause until all seats were told to join.</param>
[GenerateSerializer, Immutable, Alias("phi3v.FormedGeneration")]
public sealed record FormedGeneration(
    [property: Id(0)] long Generation,
    [property: Id(1)] int WorldSize,
    [property: Id(2)] string Cause,
    [property: Id(3)] long FirstStep,
    [property: Id(4)] double Seconds);

/// <summary>The ranks of a run that one node has.</summary>
[GenerateSerializer, Immutable, Alias("phi3v.NodeRanks")]
public sealed record NodeRanks(
    [property: Id(0)] string Node,
    [property: Id(1)] string Silo,
    [property: Id(2)] IReadOnlyList<int> Ranks);
