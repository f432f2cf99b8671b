namespace Phi3VCluster.Training.Engine;

/// <summary>
/// The node's ranks, where the control plane and the data plane meet. Grains call in, from any thread, and every call returns at
/// once; each rank trains on its own thread. What happens there is read with <see cref="Progress"/>.
/// Calls for a generation older than the newest one seen for the run are ignored.
/// </summary>
public interface IRankWorkers
{
    /// <summary>Most ranks this node runs at a time, by device kind: "cpu" or "cuda".</summary>
    int Capacity { get; }

    /// <summary>"cpu", or "cuda" with the cards' name, e.g. "cuda NVIDIA H100".</summary>
    string Device { get; }

    /// <summary>
    /// Checks that this machine can run the rank (native libraries, device, readable files, room for the result) and opens its
    /// collective's end. A rank that is prepared already, or runs, answers with the address that it has. One that fails holds nothing.
    /// </summary>
    /// <param name="specJson">The run's spec as JSON text.</param>
    /// <param name="collective">The collective's name, never "auto".</param>
    /// <returns>The address that the rank's peers connect to.</returns>
    /// <exception cref="Spec.InputException">The machine or the files do not fit; all problems at once.</exception>
    string Prepare(RankId id, string specJson, string collective);

    /// <summary>Starts a prepared rank on a thread of its own; said again, it does nothing.</summary>
    /// <param name="outputFolder">The run's folder of results, the same for all ranks.</param>
    /// <returns>False if there is no such rank: it was not prepared here, was aborted, or is of an older generation.</returns>
    bool Begin(RankId id, int worldSize, IReadOnlyList<string> addresses, string outputFolder);

    /// <summary>Lets a rank that waits at the end of <paramref name="epoch"/> go on.</summary>
    void PassBarrier(RankId id, int epoch);

    /// <summary>Ends a rank within a second, wherever it is; its last progress says <see cref="RankPhase.Stopped"/>.</summary>
    void Abort(RankId id, string reason);

    /// <summary>The state of every rank that was prepared and has not been forgotten.</summary>
    IReadOnlyList<RankProgress> Progress();

    /// <summary>
    /// Ranks that hold something of this node: prepared, running, or ended while their thread still computes or frees what it had. Nobody
    /// else can have their places, whoever was told that they stopped.
    /// </summary>
    IReadOnlyList<RankId> Occupied();

    /// <summary>Drops a rank from <see cref="Progress"/>, once the coordinator has seen its end; one that still runs is aborted.</summary>
    void Forget(RankId id);

    /// <summary>
    /// Raised, from any thread, when the next report should not wait for its second: a rank has entered another phase or left its place.
    /// </summary>
    event Action? ReportSoon;
}

/// <param name="Generation">Counts the run's rendezvous from 1.</param>
public readonly record struct RankId(string Run, long Generation, int Rank);

public enum RankPhase
{
    /// <summary>Connecting, loading the model and the data.</summary>
    Starting,
    EvaluatingBefore,
    Training,
    /// <summary>Waits at the end of an epoch for all other ranks: <see cref="RankProgress.Epoch"/> says which.</summary>
    AtBarrier,
    EvaluatingAfter,
    Exporting,
    /// <summary>Done; nothing more will come.</summary>
    Finished,
    /// <summary>Ended by a fault of its own; <see cref="RankProgress.Error"/> says which.</summary>
    Failed,
    /// <summary>Ended by <see cref="IRankWorkers.Abort"/>.</summary>
    Stopped,
    /// <summary>Passed its preflight and waits to begin: <see cref="RankProgress.Address"/> says where its peers reach it.</summary>
    Prepared,
}

/// <summary>Where a rank is. Numbers of the run as a whole (loss, throughput, evaluation) are the same on every rank.</summary>
public sealed record RankProgress(RankId Id, RankPhase Phase)
{
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
    public string? Error { get; init; }
    /// <summary>What failed is not this rank but a connection or a peer: whoever broke first says why.</summary>
    public bool IsEcho { get; init; }
    /// <summary>Where the rank's peers reach it.</summary>
    public string Address { get; init; } = "";
    /// <summary>Rank 0 only: what a reader of the run's log should know; lines are only ever added.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
    /// <summary>Seconds of training steps so far.</summary>
    public double TrainSeconds { get; init; }
    /// <summary>How far it is with what takes long within the phase; null where nothing is counted.</summary>
    public PartProgress? Part { get; init; }
}

/// <param name="Unit">What is counted: bytes, samples, passes …</param>
public sealed record PartProgress(string Unit, long Done, long Total);
