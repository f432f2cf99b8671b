using Phi3VCluster.Spec;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// AdamW (Loshchilov and Hutter, 2019) on one rank's shard: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²,
/// w ← w·(1 − lr·decay) − lr · m̂ / (√v̂ + ε), hats divide by 1 − βᵗ. What it remembers is an <see cref="OptimizerState"/>, which
/// outlives it.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly OptimizerSpec _spec;
    private readonly FlatParameters _parameters;
    private readonly GradientStore _gradients;
    private readonly OptimizerState _state;
    private readonly Tensor _stepCount;
    private readonly List<ParameterGroup> _groups;
    private readonly CudaKernels? _kernels;

    /// <param name="parameters">Must outlive the optimizer, as gradients and state must.</param>
    /// <param name="state">Of the gradients' layout.</param>
    /// <param name="spec">Betas, epsilon and weight decay; the learning rate comes with each step.</param>
    public AdamW(FlatParameters parameters, GradientStore gradients, OptimizerState state, OptimizerSpec spec)
    {
        (_spec, _parameters, _gradients, _state) = (spec, parameters, gradients, state);
        var device = parameters.Values.device;
        _stepCount = zeros([], ScalarType.Float32, device).DetachFromDisposeScope();
        var type = parameters.Values.dtype == ScalarType.Float16 ? ScalarType.Float16 : ScalarType.BFloat16; // of the copies, if any
        if (CudaKernels.AreAvailable(device)) _kernels = CudaKernels.Of(device, type);
        _groups = [.. OptimizerGroup.AllOf(parameters).Select((key, i) => new ParameterGroup(this, key, i, Ranges(key, merged: true)))];
    }

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
        _state.StoreMasters();
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
            var count = group.Count();
            foreach (var (entry, range) in Ranges(group.Key, merged: false))
            {
                using var scope = NewDisposeScope();
                using var one = new ParameterGroup(this, group.Key, group.Index, [(entry, range)]);
                var before = _state.Master(range).clone();
                one.Update(learningRate, count);
                var change = SquareSums.Of(_state.Master(range).sub(before));
                changes[entry.Tensor.Name] = changes.GetValueOrDefault(entry.Tensor.Name) + change;
            }
        }
        _state.StoreMasters();
        return changes;
    }

    public void Dispose()
    {
        foreach (var group in _groups) group.Dispose();
        _stepCount.Dispose();
    }

    private IReadOnlyList<(FlatEntry First, OwnRange Range)> Ranges(OptimizerGroup key, bool merged) =>
        OwnRanges.Of(_parameters, _gradients.Layout, entry => OptimizerGroup.Of(entry) == key, merged);

    /// <summary>The shard's ranges of one group, as views made once.</summary>
    private sealed class ParameterGroup : IDisposable
    {
        private readonly AdamW _owner;
        private readonly Tensor[] _values, _gradients, _first, _second;
        private readonly Tensor[]? _copies; // of the masters, in the model's type

        public ParameterGroup(AdamW owner, OptimizerGroup key, int index, IReadOnlyList<(FlatEntry First, OwnRange Range)> ranges)
        {
            (_owner, Key, Index) = (owner, key, index);
            _values = Views(range => owner._state.Master(range));
            _gradients = Views(range => owner._gradients.Own(range.Piece, range.Flat));
            _first = Views(range => owner._state.FirstMoments.narrow(0, range.Local.Offset, range.Local.Count));
            _second = Views(range => owner._state.SecondMoments.narrow(0, range.Local.Offset, range.Local.Count));
            if (owner._state.HasMasters) _copies = Views(range => owner._parameters.Values.narrow(0, range.Flat.Offset, range.Flat.Count));
            FitsKernels = ranges.All(range => CudaKernels.CanTake(range.Range.Flat.Offset, range.Range.Flat.Count)
                && CudaKernels.CanTake(range.Range.Local.Offset, range.Range.Local.Count));

            Tensor[] Views(Func<OwnRange, Tensor> view) => [.. ranges.Select(range => view(range.Range).DetachFromDisposeScope())];
        }

        public OptimizerGroup Key { get; }

        /// <summary>Among all groups.</summary>
        public int Index { get; }

        /// <summary>Whether every range begins and ends where the kernels' wide loads do.</summary>
        public bool FitsKernels { get; }

        /// <summary>One pass over memory: scaling, update and the values' copies together.</summary>
        public void Step(CudaKernels kernels, double learningRate, double gradientScale)
        {
            var count = Count();
            var spec = _owner._spec;
            for (var i = 0; i < _values.Length; i++)
                kernels.AdamW(_values[i], _gradients[i], _first[i], _second[i], _copies?[i], gradientScale, learningRate * Key.RateFactor,
                    Key.Decays ? spec.WeightDecay : 0, spec.Betas[0], spec.Betas[1], spec.Epsilon, count);
        }

        public void Step(double learningRate) => Update(learningRate, Count());

        /// <returns>t of this step.</returns>
        public long Count() => ++_owner._state.StepCounts[Index];

        public void Update(double learningRate, long step)
        {
            if (_values.Length == 0) return;
            using Scalar count = step;
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
