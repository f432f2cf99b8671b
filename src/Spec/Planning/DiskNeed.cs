namespace Phi3VCluster.Spec.Planning;

/// <summary>What a run writes that is large: its result, and the checkpoints that are there at a time.</summary>
/// <param name="Result">Bytes.</param>
/// <param name="Checkpoint">Bytes of one.</param>
/// <param name="Checkpoints">Most at a time.</param>
public sealed record DiskNeed(long Result, long Checkpoint, long Checkpoints)
{
    private const int BytesOfState = 3 * sizeof(float); // a trained value's master and both moments

    public long Total => Result + Checkpoint * Checkpoints;

    /// <param name="result">Bytes of what is exported.</param>
    /// <param name="trained">Values.</param>
    /// <param name="steps">Of the run; null where they are not known yet: then no checkpoint is counted.</param>
    public static DiskNeed Of(RunSpec spec, long result, long trained, long? steps)
    {
        var checkpoint = CheckpointSpec.Of(spec);
        var most = checkpoint.Keep + 1L; // the newest is written before the oldest goes
        return new(result, BytesOfState * trained,
            checkpoint.EverySteps == 0 || steps is null ? 0 : Math.Min(most, steps.Value / checkpoint.EverySteps));
    }

    /// <param name="folder">
    /// The run's, or the one that will hold it; need not be there yet. A run that goes on has checkpoints in it already.
    /// </param>
    /// <returns>Null where there is room, or nobody can say.</returns>
    public string? Problem(string folder) =>
        MachineFit.FreeBytes(folder) is { } free && free + RunCheckpoints.BytesIn(folder) < Total ? Sentence(free, folder) : null;

    /// <summary>That so many free bytes are too few.</summary>
    public string Sentence(long free, string folder) => (Checkpoints == 0
        ? $"output: the result needs {MachineFit.Gigabytes(Result)}"
        : $"output: the result needs {MachineFit.Gigabytes(Result)} and {Checkpoints} checkpoint{(Checkpoints == 1 ? "" : "s")} "
            + $"{MachineFit.Gigabytes(Checkpoint)} each, {MachineFit.Gigabytes(Total)} in all")
        + $", got {MachineFit.Gigabytes(free)} free in {folder}; make room, choose another folder"
        + (Checkpoints > 1 ? ", or lower checkpoint.keep." : ".");
}
