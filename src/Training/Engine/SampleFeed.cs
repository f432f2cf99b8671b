using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Engine;

/// <summary>This rank's samples, step by step, read and encoded ahead.</summary>
internal sealed class SampleFeed : IDisposable
{
    private readonly Prefetcher<Share, EncodedShare> _ahead;

    /// <param name="encode">(epoch, index) → sample; called on the prefetcher's threads.</param>
    /// <param name="threads">That read and encode.</param>
    public SampleFeed(SampleOrder order, int epochs, int rank, int worldSize, Func<int, int, EncodedSample> encode, int threads = 1)
    {
        var shares =
            from epoch in Enumerable.Range(0, epochs)
            from step in Enumerable.Range(0, order.StepsPerEpoch)
            select new Share(epoch, step, SampleOrder.ShareOf(order.GlobalBatch(epoch, step), rank, worldSize));
        _ahead = new(shares, share => new(share, [.. share.Indices.Select(index => encode(share.Epoch, index))]),
            encoded => encoded.Samples.Sum(sample => sample.Bytes), threadCount: threads);
    }

    /// <summary>The rank's share of a global batch. Waits until it is ready; ask for the batches in order, each once.</summary>
    public IReadOnlyList<EncodedSample> Take(GlobalBatch batch)
    {
        var next = _ahead.Take() ?? throw new InvalidOperationException($"no samples are left for {batch}.");
        return (next.Share.Epoch, next.Share.Step) == (batch.Epoch, batch.Index)
            ? next.Samples
            : throw new InvalidOperationException($"asked for {batch}, but {next.Share} is next.");
    }

    public void Dispose() => _ahead.Dispose();

    /// <param name="Step">Within the epoch, from 0.</param>
    /// <param name="Indices">Rows of the dataset.</param>
    private sealed record Share(int Epoch, int Step, IReadOnlyList<int> Indices);

    private sealed record EncodedShare(Share Share, IReadOnlyList<EncodedSample> Samples);
}
