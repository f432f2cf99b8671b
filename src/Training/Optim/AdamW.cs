using Phi3VCluster.Spec;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// AdamW (Loshchilov and Hutter, 2019) on one rank's shard: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²,
/// w ← w·(1 − lr·decay) − lr · m̂ / (√v̂ + ε), hats divide by 1 − βᵗ. Moments, and float32 masters of 16-bit values, exist for the
/// shard only.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly OptimizerSpec _spec;
    private readonly FlatParameters _parameters;
    private readonly GradientStore _gradients;
    private readonly Tensor _stepCount;
    private readonly Tensor? _masters;
    private readonly List<ParameterGroup> _groups;
    private readonly CudaKernels? _kernels;

    /// <param name="parameters">Hold their start; must outlive the optimizer, as the gradients must.</param>
    /// <param name="spec">Betas, epsilon and weight decay; the learning rate comes with each step.</param>
    public AdamW(FlatParameters parameters, GradientStore gradients, OptimizerSpec spec)
    {
        (_spec, _parameters, _gradients) = (spec, parameters, gradients);
        var (device, own) = (parameters.Values.device, gradients.Layout.OwnCount);
        FirstMoments = zeros(own, ScalarType.Float32, device).DetachFromDisposeScope();
        SecondMoments = zeros(own, ScalarType.Float32, device).DetachFromDisposeScope();
        _stepCount = zeros([], ScalarType.Float32, device).DetachFromDisposeScope();
        if (parameters.Values.dtype != ScalarType.Float32) _masters = CopyOfOwn();
        var type = parameters.Values.dtype == ScalarType.Float16 ? ScalarType.Float16 : ScalarType.BFloat16; // of the copies, if any
        if (CudaKernels.AreAvailable(device)) _kernels = CudaKernels.Of(device, type);
        _groups = [.. GroupKeys().Select(key => new ParameterGroup(this, key, Ranges(key, merged: true)))];
    }

    /// <summary>m of the shard, [own elements] float32. Restored by copying into it.</summary>
    public Tensor FirstMoments { get; }

    /// <summary>v of the shard, [own elements] float32. Restored by copying into it.</summary>
    public Tensor SecondMoments { get; }

    /// <summary>
    /// Steps done by each group of tensors, t of the bias correction, in the order of the groups' first tensors: what only images train is
    /// left out of some. The same groups on every rank.
    /// </summary>
    /// <exception cref="ArgumentException">As many counts as there are groups must be given.</exception>
    public IReadOnlyList<long> StepCounts
    {
        get => [.. _groups.Select(group => group.StepCount)];
        set
        {
            if (value.Count != _groups.Count)
                throw new ArgumentException($"{_groups.Count} groups need a step count each, got {value.Count}");
            for (var i = 0; i < value.Count; i++) _groups[i].StepCount = value[i];
        }
    }

    /// <summary>Bytes held for the shard: moments and masters.</summary>
    public long SizeBytes => (2 + (_masters is null ? 0 : 1)) * _gradients.Layout.OwnCount * sizeof(float);

    /// <summary>Updates the shard of the values, in place, from the store's sums.</summary>
    /// <param name="hadImages">Whether the step's samples had images: if not, what only images train is left as it is.</param>
    /// <param name="gradientScale">What the sums are multiplied by first: clipping, and the loss scale undone.</param>
    public void Step(double learningRate, bool hadImages = true, double gradientScale = 1)
    {
        using var quiet = no_grad();
        var groups = _groups.Where(group => hadImages || !group.Key.NeedsImages).ToList();
        if (_kernels is not null && groups.All(group => group.FitsKernels))
        {
            groups.ForEach(group => group.Step(_kernels, learningRate, gradientScale));
            return;
        }
        GradientNorm.Scale(_gradients, gradientScale);
        groups.ForEach(group => group.Step(learningRate));
        StoreMasters();
    }

    /// <summary>
    /// As <see cref="Step"/>, tensor by tensor, to see what changes: the squared norm of each tensor's change on this rank, by name.
    /// Costs a copy of one tensor at a time.
    /// </summary>
    public IReadOnlyDictionary<string, double> StepMeasured(double learningRate, bool hadImages = true, double gradientScale = 1)
    {
        using var quiet = no_grad();
        GradientNorm.Scale(_gradients, gradientScale);
        var changes = new Dictionary<string, double>();
        foreach (var group in _groups.Where(group => hadImages || !group.Key.NeedsImages))
        {
            group.StepCount++;
            foreach (var (entry, range) in Ranges(group.Key, merged: false))
            {
                using var scope = NewDisposeScope();
                using var one = new ParameterGroup(this, group.Key, [(entry, range)]) { StepCount = group.StepCount - 1 };
                var before = Master(range).clone();
                one.Step(learningRate);
                var change = SquareSums.Of(Master(range).sub(before));
                changes[entry.Tensor.Name] = changes.GetValueOrDefault(entry.Tensor.Name) + change;
            }
        }
        StoreMasters();
        return changes;
    }

    /// <summary>This rank's float32 values of a piece: its masters, or the values themselves where they are float32. A view.</summary>
    public Tensor Master(OwnRange range)
    {
        if (_masters is null) return _parameters.Values.narrow(0, range.Flat.Offset, range.Flat.Count);
        var local = range.Local;
        return _masters.narrow(0, local.Offset, local.Count);
    }

    /// <summary>All ranks' float32 values, [parameters.Count], for whoever writes them down. All ranks call it together.</summary>
    /// <param name="allGather">Fills a 1-D buffer with every rank's own part of it.</param>
    public Tensor GatherMasters(Action<Tensor> allGather)
    {
        using var quiet = no_grad();
        if (_masters is null) return _parameters.Values.alias();
        using var scope = NewDisposeScope();
        var all = empty(_parameters.Count, ScalarType.Float32, _parameters.Values.device);
        foreach (var (bucket, piece) in _gradients.Layout.Buckets.Zip(_gradients.Layout.Pieces))
        {
            all.narrow(0, piece.Flat.Offset, piece.Flat.Count).copy_(_masters.narrow(0, piece.LocalOffset, piece.Flat.Count));
            allGather(all.narrow(0, bucket.Offset, bucket.Count));
        }
        return all.MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        foreach (var group in _groups) group.Dispose();
        _masters?.Dispose();
        _stepCount.Dispose();
        SecondMoments.Dispose();
        FirstMoments.Dispose();
    }

    private Tensor CopyOfOwn()
    {
        using var quiet = no_grad();
        using var scope = NewDisposeScope();
        var copy = empty(_gradients.Layout.OwnCount, ScalarType.Float32, _parameters.Values.device);
        foreach (var piece in _gradients.Layout.Pieces.Where(piece => piece.Flat.Count > 0))
            copy.narrow(0, piece.LocalOffset, piece.Flat.Count).copy_(_parameters.Values.narrow(0, piece.Flat.Offset, piece.Flat.Count));
        return copy.DetachFromDisposeScope();
    }

    private void StoreMasters()
    {
        if (_masters is null) return;
        using var scope = NewDisposeScope();
        foreach (var piece in _gradients.Layout.Pieces.Where(piece => piece.Flat.Count > 0))
            _parameters.Values.narrow(0, piece.Flat.Offset, piece.Flat.Count).copy_(_masters.narrow(0, piece.LocalOffset, piece.Flat.Count));
    }

    private IEnumerable<GroupKey> GroupKeys() => _parameters.Entries.Select(GroupKey.Of).Distinct();

    private IReadOnlyList<(FlatEntry First, OwnRange Range)> Ranges(GroupKey key, bool merged) =>
        OwnRanges.Of(_parameters, _gradients.Layout, entry => GroupKey.Of(entry) == key, merged);

    /// <summary>What tensors have in common that are updated by one call.</summary>
    private readonly record struct GroupKey(bool Decays, double RateFactor, bool NeedsImages)
    {
        public static GroupKey Of(FlatEntry entry) => new(entry.Decays, entry.RateFactor, entry.NeedsImages);
    }

    /// <summary>The shard's ranges of one group, as views made once.</summary>
    private sealed class ParameterGroup : IDisposable
    {
        private readonly AdamW _owner;
        private readonly Tensor[] _values, _gradients, _first, _second;
        private readonly Tensor[]? _copies; // of the masters, in the model's type

        public ParameterGroup(AdamW owner, GroupKey key, IReadOnlyList<(FlatEntry First, OwnRange Range)> ranges)
        {
            (_owner, Key) = (owner, key);
            _values = Views(range => owner.Master(range));
            _gradients = Views(range => owner._gradients.Own(range.Piece, range.Flat));
            _first = Views(range => owner.FirstMoments.narrow(0, range.Local.Offset, range.Local.Count));
            _second = Views(range => owner.SecondMoments.narrow(0, range.Local.Offset, range.Local.Count));
            if (owner._masters is not null) _copies = Views(range => owner._parameters.Values.narrow(0, range.Flat.Offset, range.Flat.Count));
            FitsKernels = ranges.All(range => CudaKernels.CanTake(range.Range.Flat.Offset, range.Range.Flat.Count)
                && CudaKernels.CanTake(range.Range.Local.Offset, range.Range.Local.Count));

            Tensor[] Views(Func<OwnRange, Tensor> view) => [.. ranges.Select(range => view(range.Range).DetachFromDisposeScope())];
        }

        public GroupKey Key { get; }

        public long StepCount { get; set; }

        /// <summary>Whether every range begins and ends where the kernels' wide loads do.</summary>
        public bool FitsKernels { get; }

        /// <summary>One pass over memory: scaling, update and the values' copies together.</summary>
        public void Step(CudaKernels kernels, double learningRate, double gradientScale)
        {
            StepCount++;
            var spec = _owner._spec;
            for (var i = 0; i < _values.Length; i++)
                kernels.AdamW(_values[i], _gradients[i], _first[i], _second[i], _copies?[i], gradientScale, learningRate * Key.RateFactor,
                    Key.Decays ? spec.WeightDecay : 0, spec.Betas[0], spec.Betas[1], spec.Epsilon, StepCount);
        }

        public void Step(double learningRate)
        {
            using Scalar count = ++StepCount;
            if (_values.Length == 0) return;
            _owner._stepCount.fill_(count);
            var counts = new Tensor[_values.Length];
            Array.Fill(counts, _owner._stepCount);
            var spec = _owner._spec;
            AtenOps.FusedAdamW(_values, _gradients, _first, _second, counts, learningRate * Key.RateFactor, spec.Betas[0], spec.Betas[1],
                Key.Decays ? spec.WeightDecay : 0, spec.Epsilon);
        }

        public void Dispose()
        {
            foreach (var view in (Tensor[])[.. _values, .. _gradients, .. _first, .. _second, .. _copies ?? []]) view.Dispose();
        }
    }
}
