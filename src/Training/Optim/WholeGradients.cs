using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// All gradients on every rank, summed over ranks once a step: the least traffic. Sharded, a rank then uses the sums of its own part;
/// replicated, it uses all of them, and measures its share.
/// </summary>
public sealed class WholeGradients : GradientStore
{
    private readonly Action<Tensor> _reduce;
    private readonly Tensor _all;

    private WholeGradients(FlatParameters parameters, ShardLayout layout, IReadOnlyList<ShardPiece> measured, Action<Tensor> reduce)
        : base(parameters, layout)
    {
        (_reduce, Measured) = (reduce, measured);
        _all = Buffer(parameters.Count);
        foreach (var entry in parameters.Entries) Attach(entry, _all, parameters.Slice(entry.Tensor.Name).Offset);
    }

    public override IReadOnlyList<ShardPiece> Measured { get; }

    public override long SizeBytes => _all.numel() * sizeof(float);

    /// <param name="reduceScatter">Sums a 1-D buffer over ranks; afterwards this rank's part of it holds the sum.</param>
    public static WholeGradients Sharded(FlatParameters parameters, ShardLayout layout, Action<Tensor> reduceScatter) =>
        new(parameters, layout, layout.Pieces, reduceScatter);

    /// <param name="allReduce">Sums a 1-D buffer over ranks, all of it on each.</param>
    public static WholeGradients Replicated(FlatParameters parameters, int rank, int worldSize, Action<Tensor> allReduce) => new(
        parameters, ShardLayout.Replicated(parameters.Count), ShardLayout.Whole(parameters.Count, rank, worldSize).Pieces, allReduce);

    public override void Zero() => Fill0(_all);

    public override void StepDone()
    {
        foreach (var bucket in Layout.Buckets)
        {
            using var part = _all.narrow(0, bucket.Offset, bucket.Count);
            _reduce(part);
        }
    }

    public override Tensor Own(ShardPiece piece, ShardRange part) => _all.narrow(0, part.Offset, part.Count);

    public override void Dispose() => _all.Dispose();
}
