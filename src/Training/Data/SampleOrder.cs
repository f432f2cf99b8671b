namespace Phi3VCluster.Training.Data;

/// <summary>
/// Which samples each global step consumes: a pure function of (sample count, seed, epoch, step), the same for any number of ranks. The
/// order of an epoch is a Fisher–Yates shuffle driven by <see cref="SplitMix64"/>, or the file's own. Thread-safe.
/// </summary>
public sealed class SampleOrder
{
    private readonly int _seed;
    // The prefetcher is an epoch ahead of the step at times, so the orders of two are kept: even ones and odd ones.
    private readonly Epoch?[] _known = new Epoch?[2];

    public SampleOrder(int sampleCount, int globalBatch, int seed, bool shuffle)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sampleCount);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(globalBatch);
        (SampleCount, BatchSize, _seed, Shuffles) = (sampleCount, globalBatch, seed, shuffle);
    }

    public int SampleCount { get; }

    /// <summary>Samples of a global batch, over all ranks; an epoch's last may be smaller.</summary>
    public int BatchSize { get; }

    /// <summary>Whether each epoch has an order of its own.</summary>
    public bool Shuffles { get; }

    public int StepsPerEpoch => (SampleCount + BatchSize - 1) / BatchSize;

    /// <summary>All sample indices, each once, in the order of <paramref name="epoch"/> (from 0).</summary>
    public IReadOnlyList<int> Of(int epoch)
    {
        ref var known = ref _known[epoch % 2];
        if (Volatile.Read(ref known) is { } kept && kept.Number == epoch) return kept.Indices;
        var indices = Enumerable.Range(0, SampleCount).ToArray();
        if (Shuffles) SplitMix64.For("order", _seed, epoch).Shuffle<int>(indices);
        Volatile.Write(ref known, new(epoch, indices));
        return indices;
    }

    /// <summary>The sample indices of a global step.</summary>
    /// <param name="step">From 0 in each epoch.</param>
    public IReadOnlyList<int> GlobalBatch(int epoch, int step)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(step, StepsPerEpoch);
        return [.. Of(epoch).Skip(step * BatchSize).Take(BatchSize)]; // Skip jumps: the order is an array
    }

    /// <summary>What a rank takes of a global batch: position i goes to rank i mod world size, so shares differ by at most one.</summary>
    public static IReadOnlyList<int> ShareOf(IReadOnlyList<int> globalBatch, int rank, int worldSize) =>
        [.. globalBatch.Where((_, position) => position % worldSize == rank)];

    private sealed record Epoch(int Number, int[] Indices);
}
