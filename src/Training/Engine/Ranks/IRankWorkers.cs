namespace Phi3VCluster.Training.Engine;

/// <summary>
/// The node's seats, where the control plane and the data plane meet. Grains call in, from any thread, and every call returns at once;
/// each seat works on a thread of its own, order by order. What happens there is read with <see cref="Progress"/>.
/// Every order carries the version of the coordinator's state that it follows from: a seat refuses one that is lower than any it has
/// seen, so that a coordinator that thaws, or was replaced, commands nobody. Orders may be said again without harm.
/// </summary>
public interface IRankWorkers
{
    /// <summary>Most seats this node has at a time; no more than devices, where there are CUDA devices.</summary>
    int Capacity { get; }

    /// <summary>"cpu", or "cuda" with the cards' name, e.g. "cuda NVIDIA H100"; "none" on a node without seats.</summary>
    string Device { get; }

    /// <summary>
    /// Takes a seat: its thread checks that this machine can carry it (libraries, device, files, room), loads model and data once, and
    /// parks. What does not fit is told by <see cref="RankPhase.Failed"/>. A seat that is there already stays as it is.
    /// </summary>
    /// <returns>False if the order was refused: its version is low, or the seat has ended.</returns>
    bool Take(SeatId id, long version, SeatOrder order);

    /// <summary>Has a parked seat connect to the others of a generation, adopt the state of its source, and train.</summary>
    /// <returns>
    /// False if refused: low version, no such seat, not parked, or an address that was already used up. True for a repeated order.
    /// </returns>
    bool Join(SeatId id, long version, Assignment assignment);

    /// <summary>
    /// Asks for a boundary: all ranks of the generation leave it together after a committed step, and park with nothing lost. One seat
    /// that hears of it is enough.
    /// </summary>
    /// <returns>False if refused: low version, or the seat is not in that generation.</returns>
    bool Part(SeatId id, long version, long generation);

    /// <summary>
    /// Ends the seat's work in a generation within a second, wherever it is; it parks with the state of its last commit. A seat that has
    /// finished parks too.
    /// </summary>
    /// <returns>False if refused: low version, or the seat is not in that generation.</returns>
    bool Break(SeatId id, long version, long generation, string reason);

    /// <summary>
    /// Has a parked seat write its state as a checkpoint, unless one on the disk holds it already; its
    /// <see cref="RankProgress.CheckpointStep"/> then says so.
    /// </summary>
    /// <returns>False if refused: low version, or not parked.</returns>
    bool Keep(SeatId id, long version);

    /// <summary>
    /// Ends the seat within a second, whatever it does; its last progress says <see cref="RankPhase.Stopped"/>. It gives its device
    /// back when its thread has ended.
    /// </summary>
    /// <returns>False if refused: low version, or no such seat.</returns>
    bool Leave(SeatId id, long version, string reason);

    /// <summary>
    /// The coordinator has answered a report of the seat. A generation that was answered once and then is not for
    /// <c>failure.orphanSeconds</c> parks at its next commit.
    /// </summary>
    void Answered(SeatId id);

    /// <summary>The state of every seat that was taken and has not been forgotten.</summary>
    IReadOnlyList<RankProgress> Progress();

    /// <summary>
    /// Seats that hold something of this node: until their threads have ended and freed what they had. Nobody else can have their
    /// places, whoever was told that they stopped.
    /// </summary>
    IReadOnlyList<SeatId> Occupied();

    /// <summary>
    /// Drops a seat from <see cref="Progress"/>, once the coordinator has seen its end; one that still works is ended. It cannot be
    /// taken again.
    /// </summary>
    void Forget(SeatId id);

    /// <summary>
    /// Raised, from any thread, when the next report should not wait for its second: a seat has entered another phase or left its place.
    /// </summary>
    event Action? ReportSoon;
}

/// <summary>A place of a run on a node. Numbered by the coordinator when leased, never reused.</summary>
public readonly record struct SeatId(string Run, int Seat);

/// <summary>What a seat is taken for.</summary>
/// <param name="SpecJson">The run's spec as JSON text.</param>
/// <param name="Collective">The collective's name, never "auto"; serves any world size.</param>
/// <param name="Output">The run's folder of results, the same for all seats.</param>
public sealed record SeatOrder(string SpecJson, string Collective, string Output);

/// <summary>A seat's part in a generation.</summary>
/// <param name="Generation">Above any that the seat was in.</param>
/// <param name="Addresses">Every rank's, by rank, as offered; as many as the world has ranks.</param>
/// <param name="Source">The rank whose state all adopt.</param>
/// <param name="Cause">Why the generation was formed, for the report: "n2 was lost".</param>
/// <param name="Shards">Where all find a state that seats hold in parts; then <paramref name="Source"/> says nothing.</param>
public sealed record Assignment(
    long Generation, int Rank, IReadOnlyList<string> Addresses, int Source, string Cause = "", ShardPlan? Shards = null);

/// <summary>Which version of a sharded state a generation goes on from, and who has it.</summary>
/// <param name="WorldSize">Ranks that it is cut for.</param>
/// <param name="MetadataCourier">The courier of the seat whose scalars and step records all adopt.</param>
/// <param name="Holders">At least one for each of those ranks.</param>
public sealed record ShardPlan(StateVersion Version, int WorldSize, string MetadataCourier, IReadOnlyList<ShardHolder> Holders);

/// <summary>A seat's courier, by its address, that has a rank's part.</summary>
/// <param name="Member">The seat's rank in the generation that is to come; -1 where it is not in it.</param>
public sealed record ShardHolder(int Rank, string Courier, int Member = -1);

/// <summary>What a parked seat says of itself.</summary>
/// <param name="Address">Where peers reach it; good for one attempt.</param>
/// <param name="Generation">
/// The newest that the state comes from: joined, or named by the checkpoint it would restore; 0 for the start.
/// </param>
/// <param name="Step">Committed steps in the state; 0 for the start.</param>
/// <param name="Stage">With <paramref name="Step"/>, the position: what comes next.</param>
/// <param name="IsLive">The state is in memory; otherwise in a checkpoint, or it is the start.</param>
/// <param name="Fingerprint">Of spec, base checkpoint and dataset: seats of one generation have the same.</param>
/// <param name="Courier">Where others find the parts that the seat holds; empty where it has none.</param>
/// <param name="Held">Parts of a sharded state in its host memory, ascending by version.</param>
public sealed record Offer(
    string Address, long Generation, long Step, TrainingStage Stage, bool IsLive, string Fingerprint, string Courier = "",
    IReadOnlyList<HeldShards>? Held = null);

/// <summary>Parts of one version of a sharded state.</summary>
/// <param name="Stage">With the step, the position; null where the seat holds others' parts alone.</param>
/// <param name="WorldSize">Ranks that the version is cut for.</param>
/// <param name="Ranks">Whose parts.</param>
public sealed record HeldShards(StateVersion Version, TrainingStage? Stage, int WorldSize, IReadOnlyList<int> Ranks);

/// <summary>What comes next in a run; in this order.</summary>
public enum TrainingStage
{
    EvaluateBefore,
    Step,
    Evaluate,
    Export,
    EvaluateAfter,
    Report,
    End,
}

/// <summary>Whom a fault concerns.</summary>
public enum FaultKind
{
    None,
    /// <summary>Data, spec, divergence: every seat would meet it again, so the run ends.</summary>
    Run,
    /// <summary>This machine or device: the others can go on without the seat.</summary>
    Seat,
    /// <summary>A connection broke, or a peer left: whoever broke first says why.</summary>
    Echo,
}

/// <summary>What a seat is doing. The numbers travel between nodes.</summary>
public enum RankPhase
{
    /// <summary>Checks the machine, loads the model and the data.</summary>
    Loading = 0,
    EvaluatingBefore = 1,
    Training = 2,
    EvaluatingAfter = 4,
    Exporting = 5,
    /// <summary>Has done all there is to do, and keeps its state until it is told to leave.</summary>
    Finished = 6,
    /// <summary>Ended by a fault of its own; <see cref="RankProgress.Error"/> says which.</summary>
    Failed = 7,
    /// <summary>Ended by <see cref="IRankWorkers.Leave"/>.</summary>
    Stopped = 8,
    /// <summary>In no generation, and ready for the next: <see cref="RankProgress.Offer"/> says with what.</summary>
    Parked = 9,
    /// <summary>Connects to its peers and takes over the state.</summary>
    Joining = 10,
}

/// <summary>Where a seat is. Numbers of the run as a whole (loss, throughput, evaluation) are the same on every seat.</summary>
public sealed record RankProgress(SeatId Id, RankPhase Phase)
{
    /// <summary>The last generation that the seat was told to join; 0 before the first.</summary>
    public long Generation { get; init; }
    /// <summary>In that generation; -1 before the first.</summary>
    public int Rank { get; init; } = -1;
    /// <summary>The CUDA device that it computes on; null on a CPU, and before it has one.</summary>
    public int? Device { get; init; }
    /// <summary>Of a parked seat.</summary>
    public Offer? Offer { get; init; }
    /// <summary>
    /// Why a failed seat failed, or a parked one left its generation; <see cref="FaultKind.None"/> where it was told to, or at a
    /// boundary.
    /// </summary>
    public FaultKind Fault { get; init; }
    public string? Error { get; init; }
    /// <summary>The rank of the generation to whom the connection broke; null where that is not known.</summary>
    public int? BadPeer { get; init; }
    /// <summary>Its machine said that nobody is there, which it, or a firewall, says of one that has gone as well.</summary>
    public bool BadPeerMayBeGone { get; init; }
    /// <summary>Last committed optimizer step, from 1; 0 before the first.</summary>
    public long Step { get; init; }
    public long TotalSteps { get; init; }
    /// <summary>Epochs finished, from 0.</summary>
    public int Epoch { get; init; }
    /// <summary>Mean loss over the last step's global batch.</summary>
    public double? Loss { get; init; }
    public double? LearningRate { get; init; }
    public double? GradNorm { get; init; }
    /// <summary>Over all ranks, mean of the last steps.</summary>
    public double? ImagesPerSecond { get; init; }
    /// <summary>Rank 0 only: the metric before and after training.</summary>
    public double? EvalBefore { get; init; }
    public double? EvalAfter { get; init; }
    /// <summary>Rank 0 only: what a reader of the run's log should know; lines are only ever added.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
    /// <summary>Seconds of training steps so far.</summary>
    public double TrainSeconds { get; init; }
    /// <summary>Of a step: the median of the last; null before the first.</summary>
    public double? StepSeconds { get; init; }
    /// <summary>The newest step that a complete checkpoint holds; 0 for none.</summary>
    public long CheckpointStep { get; init; }
    /// <summary>Operations between the ranks of the generation that it has entered: all enter the same, in one order.</summary>
    public long Entered { get; init; }
    /// <summary>How far it is with what takes long within the phase; null where nothing is counted.</summary>
    public PartProgress? Part { get; init; }
}

/// <param name="Unit">What is counted: bytes, samples, passes …</param>
public sealed record PartProgress(string Unit, long Done, long Total);
