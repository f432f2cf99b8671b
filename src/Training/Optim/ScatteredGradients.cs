using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// Gradients sharded as they come (ZeRO-2): every unit's are summed over the ranks as soon as a pass has them, and a rank keeps
/// its own part alone. Two buffers as large as the largest unit serve all units in turn: one is summed while backward fills the other.
/// </summary>
public sealed class ScatteredGradients : GradientStore
{
    private readonly GradientSums _sums;
    private readonly Tensor _own;
    private readonly Tensor[] _units;
    private readonly Dictionary<string, int> _bucketOf = [];
    private (int Bucket, GradientSums.Begun Sum)? _begun;
    private int _waiting; // buckets of this pass that have not set out: backward goes from the last to the first

    /// <param name="layout">One bucket a unit, as <see cref="FlatParameters.Units"/> cuts.</param>
    /// <param name="reduceScatter">Afterwards this rank's part of the buffer holds the sum.</param>
    /// <param name="half">The 16-bit type in which gradients travel; null: as they are.</param>
    public ScatteredGradients(FlatParameters parameters, ShardLayout layout, BeginSum reduceScatter, ScalarType? half = null)
        : base(parameters, layout)
    {
        _sums = new(reduceScatter, half, parameters.Count);
        var units = parameters.Units();
        if (!units.Select(unit => unit.Range).SequenceEqual(layout.Buckets))
            throw new ArgumentException("needs one bucket a unit", nameof(layout));
        var largest = layout.Buckets.Max(bucket => bucket.Count);
        _units = [Buffer(largest), Buffer(largest)];
        _own = Buffer(layout.OwnCount);
        for (var i = 0; i < units.Count; i++) _bucketOf.Add(units[i].Unit, i);
        foreach (var entry in parameters.Entries)
        {
            var bucket = _bucketOf[entry.Unit];
            Attach(entry, BufferOf(bucket), parameters.Slice(entry.Tensor.Name).Offset - layout.Buckets[bucket].Offset);
        }
        _waiting = units.Count;
    }

    public override bool ReducesEveryPass => true;

    public override long SizeBytes => (2 * _units[0].numel() + _own.numel()) * sizeof(float) + _sums.Bytes;

    public override void Zero() => Fill0(_own);

    public override void UnitDone(string unit)
    {
        if (!_bucketOf.TryGetValue(unit, out var bucket)) return; // nothing of it is trained
        if (bucket != _waiting - 1) throw new InvalidOperationException($"{unit} was done before its turn; {_waiting} units are to come.");
        BeginNext();
    }

    /// <summary>Units that this pass did not touch are those below its images, or all: another rank's pass may have touched them.</summary>
    public override void PassDone()
    {
        while (_waiting > 0) BeginNext();
        Finish();
        _waiting = Layout.Buckets.Count;
    }

    public override Tensor Own(ShardPiece piece, ShardRange part)
    {
        var local = piece.Local(part);
        return _own.narrow(0, local.Offset, local.Count);
    }

    public override double WaitedSeconds => _sums.WaitedSeconds;

    public override void Dispose()
    {
        _own.Dispose();
        foreach (var unit in _units) unit.Dispose();
        _sums.Dispose();
    }

    private void BeginNext()
    {
        var bucket = --_waiting;
        var begun = _sums.Begin(BufferOf(bucket), start: 0, Layout.Buckets[bucket]);
        Finish(); // of the one before, whose buffer the next unit fills
        _begun = (bucket, begun);
    }

    private void Finish()
    {
        if (_begun is not var (bucket, begun)) return;
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        begun.Wait();
        var (piece, start) = (Layout.Pieces[bucket], Layout.Buckets[bucket].Offset);
        _own.narrow(0, piece.LocalOffset, piece.Flat.Count)
            .Accumulate(begun.Part.narrow(0, piece.Flat.Offset - start, piece.Flat.Count));
        Fill0(begun.Part);
        begun.Dispose();
        _begun = null;
    }

    private Tensor BufferOf(int bucket) => _units[bucket % 2];
}
