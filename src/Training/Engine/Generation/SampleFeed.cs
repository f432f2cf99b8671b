using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Engine;

/// <summary>This rank's samples, step by step, read and encoded ahead: a whole step's, and more while memory for it is small.</summary>
internal sealed class SampleFeed : IDisposable
{
    private readonly Func<int, int, IReadOnlyList<int>> _share;
    private readonly Prefetcher<Place, Encoded> _ahead;

    /// <param name="encode">(epoch, index) → sample; called on the readers' threads.</param>
    /// <param name="readers">Threads that read and encode.</param>
    /// <param name="first">Steps of the run that were taken before.</param>
    public SampleFeed(
        SampleOrder order, int epochs, int rank, int worldSize, Func<int, int, EncodedSample> encode, int readers = 1, long first = 0)
    {
        _share = (epoch, step) => SampleOrder.ShareOf(order.GlobalBatch(epoch, step), rank, worldSize);
        var places =
            from epoch in Enumerable.Range(0, epochs)
            from step in Enumerable.Range(0, order.StepsPerEpoch)
            where (long)epoch * order.StepsPerEpoch + step >= first
            from index in _share(epoch, step)
            select new Place(epoch, step, index);
        _ahead = new(places, place => new(place, encode(place.Epoch, place.Index)), encoded => encoded.Sample.Bytes,
            minItems: (order.BatchSize + worldSize - 1) / worldSize, threadCount: readers);
    }

    /// <summary>The rank's share of a global batch. Waits until it is ready; ask for the batches in order, each once.</summary>
    /// <exception cref="OperationCanceledException">The rank was aborted while it waited.</exception>
    public IReadOnlyList<EncodedSample> Take(GlobalBatch batch, CancellationToken stop = default) =>
        [.. _share(batch.Epoch, batch.Index).Select(index => Take(new Place(batch.Epoch, batch.Index, index), stop))];

    public void Dispose() => _ahead.Dispose();

    private EncodedSample Take(Place place, CancellationToken stop)
    {
        var next = _ahead.Take(stop) ?? throw new InvalidOperationException($"no samples are left for {place}.");
        return next.Place == place ? next.Sample : throw new InvalidOperationException($"asked for {place}, but {next.Place} is next.");
    }

    /// <param name="Step">Within the epoch, from 0.</param>
    /// <param name="Index">Row of the dataset.</param>
    private readonly record struct Place(int Epoch, int Step, int Index);

    private sealed record Encoded(Place Place, EncodedSample Sample);
}
