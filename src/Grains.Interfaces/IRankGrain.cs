namespace Phi3VCluster.Grains.Interfaces;

/// <summary>
/// Control plane for one rank of a run, on the rank's own node. Its key is a <see cref="RankKey"/>. Every call returns at once and may
/// be repeated; calls of an older generation are answered stale.
/// </summary>
[Alias("phi3v.IRankGrain")]
public interface IRankGrain : IGrainWithStringKey
{
    /// <summary>Checks that the node can run the rank; the result comes by <see cref="IRunGrain.JoinAsync"/>.</summary>
    [Alias("Prepare")]
    Task<Answer> PrepareAsync(Preparation preparation);

    /// <summary>Starts the prepared rank.</summary>
    [Alias("Begin")]
    Task<Answer> BeginAsync(Assignment assignment);

    /// <summary>All ranks have ended <paramref name="epoch"/>: go on.</summary>
    [Alias("PassBarrier")]
    Task<Answer> PassBarrierAsync(long generation, int epoch);

    /// <summary>Writes down, in the run's folder of results, how a run ended that leaves no report. Of no generation.</summary>
    [Alias("Record")]
    Task RecordAsync(RunEnd end);

    /// <summary>Ends the rank in this and every older generation.</summary>
    [Alias("Abort")]
    Task AbortAsync(long generation, string reason);
}
