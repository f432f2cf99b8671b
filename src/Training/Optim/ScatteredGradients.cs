using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// Gradients sharded as they come (ZeRO-2): every unit's are summed over the ranks as soon as a pass has them, and a rank keeps
/// its own part alone. One buffer as large as the largest unit serves all units in turn.
/// </summary>
public sealed class ScatteredGradients : GradientStore
{
    private readonly Action<Tensor> _reduceScatter;
    private readonly Tensor _unit, _own;
    private readonly Dictionary<string, int> _bucketOf = [];
    private int _waiting; // buckets of this pass that are not reduced yet: backward goes from the last to the first

    /// <param name="layout">One bucket a unit, as <see cref="FlatParameters.Units"/> cuts.</param>
    /// <param name="reduceScatter">Sums a 1-D buffer over ranks; afterwards this rank's part of it holds the sum.</param>
    public ScatteredGradients(FlatParameters parameters, ShardLayout layout, Action<Tensor> reduceScatter) : base(parameters, layout)
    {
        _reduceScatter = reduceScatter;
        var units = parameters.Units();
        if (!units.Select(unit => unit.Range).SequenceEqual(layout.Buckets)) throw new ArgumentException("needs one bucket a unit", nameof(layout));
        _unit = Buffer(layout.Buckets.Max(bucket => bucket.Count));
        _own = Buffer(layout.OwnCount);
        for (var i = 0; i < units.Count; i++) _bucketOf.Add(units[i].Unit, i);
        foreach (var entry in parameters.Entries)
            Attach(entry, _unit, parameters.Slice(entry.Tensor.Name).Offset - layout.Buckets[_bucketOf[entry.Unit]].Offset);
        _waiting = units.Count;
    }

    public override bool ReducesEveryPass => true;

    public override long SizeBytes => (_unit.numel() + _own.numel()) * sizeof(float);

    public override void Zero() => Fill0(_own);

    public override void UnitDone(string unit)
    {
        if (!_bucketOf.TryGetValue(unit, out var bucket)) return; // nothing of it is trained
        if (bucket != _waiting - 1) throw new InvalidOperationException($"{unit} was done before its turn; {_waiting} units are to come.");
        ReduceNext();
    }

    /// <summary>Units that this pass did not touch are those below its images, or all: another rank's pass may have touched them.</summary>
    public override void PassDone()
    {
        while (_waiting > 0) ReduceNext();
        _waiting = Layout.Buckets.Count;
    }

    public override Tensor Own(ShardPiece piece, ShardRange part)
    {
        var local = piece.Local(part);
        return _own.narrow(0, local.Offset, local.Count);
    }

    public override void Dispose()
    {
        _own.Dispose();
        _unit.Dispose();
    }

    private void ReduceNext()
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var (bucket, piece) = (Layout.Buckets[--_waiting], Layout.Pieces[_waiting]);
        var gradients = _unit.narrow(0, 0, bucket.Count);
        _reduceScatter(gradients);
        _own.narrow(0, piece.LocalOffset, piece.Flat.Count).Accumulate(gradients.narrow(0, piece.Flat.Offset - bucket.Offset, piece.Flat.Count));
        Fill0(gradients);
    }
}
