using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Engine;

/// <summary>This rank's samples, step by step, read and encoded ahead.</summary>
internal sealed class SampleFeed : IDisposable
{
    private readonly Prefetcher _prefetcher;

    /// <param name="encode">(epoch, index) → sample; called on the prefetcher's thread.</param>
    public SampleFeed(SampleOrder order, int epochs, int rank, int worldSize, Func<int, int, EncodedSample> encode)
    {
        var shares =
            from epoch in Enumerable.Range(0, epochs)
            from step in Enumerable.Range(0, order.StepsPerEpoch)
            select new MicroBatch(epoch, step, SampleOrder.ShareOf(order.GlobalBatch(epoch, step), rank, worldSize));
        _prefetcher = new Prefetcher(shares, encode);
    }

    /// <summary>The rank's share of a global batch. Waits until it is ready; ask for the batches in order, each once.</summary>
    public IReadOnlyList<EncodedSample> Take(GlobalBatch batch)
    {
        var prepared = _prefetcher.Take() ?? throw new InvalidOperationException($"no samples are left for {batch}.");
        return (prepared.Batch.Epoch, prepared.Batch.Step) == (batch.Epoch, batch.Index)
            ? prepared.Samples
            : throw new InvalidOperationException($"asked for {batch}, but {prepared.Batch} is next.");
    }

    public void Dispose() => _prefetcher.Dispose();
}
