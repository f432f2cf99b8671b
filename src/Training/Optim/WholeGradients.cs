using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// All gradients on every rank, summed over ranks once a step: the least traffic. Buckets of them set out as soon as the last pass has
/// done with them, while its backward goes on. Sharded, a rank then uses the sums of its own part; replicated, it uses all of them, and
/// measures its share.
/// </summary>
public sealed class WholeGradients : GradientStore
{
    /// <summary>Elements below which a bucket is not worth a sum of its own: 256 KiB.</summary>
    public const long LeastBucket = 1 << 16;

    private readonly GradientSums _sums;
    private readonly Tensor _all;
    private readonly IReadOnlyList<ShardRange> _buckets;
    private readonly Dictionary<string, int> _endOf = []; // the bucket that is done when a unit is
    private readonly Queue<GradientSums.Begun> _begun = [];
    private bool _isLastPass;
    private int _waiting; // buckets that have not set out: backward goes from the last to the first

    private WholeGradients(
        FlatParameters parameters, ShardLayout layout, IReadOnlyList<ShardRange> buckets, IReadOnlyList<ShardPiece> measured,
        BeginSum begin, ScalarType? half) : base(parameters, layout)
    {
        (_buckets, Measured) = (buckets, measured);
        _sums = new(begin, half, parameters.Count);
        _all = Buffer(parameters.Count);
        foreach (var entry in parameters.Entries) Attach(entry, _all, parameters.Slice(entry.Tensor.Name).Offset);
        var units = parameters.Units().ToDictionary(unit => unit.Range.Offset, unit => unit.Unit);
        for (var i = 0; i < buckets.Count; i++) _endOf.Add(units[buckets[i].Offset], i);
        _waiting = buckets.Count;
    }

    public override IReadOnlyList<ShardPiece> Measured { get; }

    public override long SizeBytes => _all.numel() * sizeof(float) + _sums.Bytes;

    /// <param name="layout">Its buckets are what is summed in one go.</param>
    /// <param name="reduceScatter">Afterwards this rank's part of the buffer holds the sum.</param>
    /// <param name="half">The 16-bit type in which gradients travel; null: as they are.</param>
    public static WholeGradients Sharded(FlatParameters parameters, ShardLayout layout, BeginSum reduceScatter, ScalarType? half = null) =>
        new(parameters, layout, layout.Buckets, layout.Pieces, reduceScatter, half);

    /// <param name="allReduce">Afterwards all of the buffer holds the sum, on each rank.</param>
    /// <param name="leastBucket">Elements.</param>
    /// <inheritdoc cref="Sharded"/>
    public static WholeGradients Replicated(
        FlatParameters parameters, int rank, int worldSize, BeginSum allReduce, ScalarType? half = null,
        long leastBucket = LeastBucket) => new(
        parameters, ShardLayout.Replicated(parameters.Count), parameters.Buckets(leastBucket),
        ShardLayout.Whole(parameters.Count, rank, worldSize).Pieces, allReduce, half);

    public override void Zero() => Fill0(_all);

    public override void LastPass() => _isLastPass = true;

    public override void UnitDone(string unit)
    {
        if (_isLastPass && _endOf.TryGetValue(unit, out var bucket)) BeginDownTo(bucket);
    }

    /// <summary>Units that the last pass did not touch are those below its images, or all, where this rank had no sample.</summary>
    public override void StepDone()
    {
        BeginDownTo(0);
        while (_begun.TryDequeue(out var one))
        {
            using (one) one.Wait();
        }
        (_waiting, _isLastPass) = (_buckets.Count, false);
    }

    public override Tensor Own(ShardPiece piece, ShardRange part) => _all.narrow(0, part.Offset, part.Count);

    public override double WaitedSeconds => _sums.WaitedSeconds;

    public override void Dispose()
    {
        _all.Dispose();
        _sums.Dispose();
    }

    private void BeginDownTo(int bucket)
    {
        while (_waiting > bucket)
        {
            var next = _buckets[--_waiting];
            _begun.Enqueue(_sums.Begin(_all, next.Offset, next));
        }
    }
}
