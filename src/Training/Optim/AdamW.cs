using Phi3VCluster.Spec;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// AdamW (Loshchilov and Hutter, 2019) on one rank's shard: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²,
/// w ← w·(1 − lr·decay) − lr · m̂ / (√v̂ + ε), hats divide by 1 − βᵗ. Moments exist for the shard only.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly OptimizerSpec _spec;
    private readonly Tensor _stepCount;
    private readonly DecayGroup[] _groups;

    /// <param name="parameters">Must outlive the optimizer.</param>
    /// <param name="shard">The part to update.</param>
    /// <param name="spec">Betas, epsilon and weight decay; the learning rate comes with each step.</param>
    public AdamW(FlatParameters parameters, ShardRange shard, OptimizerSpec spec)
    {
        (_spec, Shard) = (spec, shard);
        var device = parameters.Values.device;
        FirstMoments = zeros(shard.Count, ScalarType.Float32, device).DetachFromDisposeScope();
        SecondMoments = zeros(shard.Count, ScalarType.Float32, device).DetachFromDisposeScope();
        _stepCount = zeros([], ScalarType.Float32, device).DetachFromDisposeScope();
        _groups = [.. new[] { true, false }.Select(decays => new DecayGroup(
            decays ? spec.WeightDecay : 0, DecayRanges.Of(parameters.Entries, shard, decays), parameters, this))];
    }

    public ShardRange Shard { get; }

    /// <summary>m of the shard, [Shard.Count] float32. Restored by copying into it.</summary>
    public Tensor FirstMoments { get; }

    /// <summary>v of the shard, [Shard.Count] float32. Restored by copying into it.</summary>
    public Tensor SecondMoments { get; }

    /// <summary>Steps done; t of the bias correction.</summary>
    public long StepCount { get; set; }

    /// <summary>Updates the shard of the values, in place, from the same part of the gradients.</summary>
    public void Step(double learningRate)
    {
        using var quiet = no_grad();
        using Scalar count = ++StepCount;
        _stepCount.fill_(count);
        foreach (var group in _groups) group.Step(learningRate, _spec, _stepCount);
    }

    public void Dispose()
    {
        foreach (var group in _groups) group.Dispose();
        _stepCount.Dispose();
        SecondMoments.Dispose();
        FirstMoments.Dispose();
    }

    /// <summary>The shard's ranges that share a weight decay, as views made once.</summary>
    private sealed class DecayGroup(double weightDecay, IReadOnlyList<ShardRange> ranges, FlatParameters parameters, AdamW owner)
        : IDisposable
    {
        private readonly Tensor[] _values = Views(parameters.Values, ranges, 0);
        private readonly Tensor[] _gradients = Views(parameters.Gradients, ranges, 0);
        private readonly Tensor[] _first = Views(owner.FirstMoments, ranges, owner.Shard.Offset);
        private readonly Tensor[] _second = Views(owner.SecondMoments, ranges, owner.Shard.Offset);

        public void Step(double learningRate, OptimizerSpec spec, Tensor stepCount)
        {
            if (_values.Length == 0) return;
            var counts = new Tensor[_values.Length];
            Array.Fill(counts, stepCount);
            AtenOps.FusedAdamW(
                _values, _gradients, _first, _second, counts, learningRate, spec.Betas[0], spec.Betas[1], weightDecay, spec.Epsilon);
        }

        public void Dispose()
        {
            foreach (var view in (Tensor[])[.. _values, .. _gradients, .. _first, .. _second]) view.Dispose();
        }

        private static Tensor[] Views(Tensor flat, IReadOnlyList<ShardRange> ranges, long origin) =>
            [.. ranges.Select(range => flat.narrow(0, range.Offset - origin, range.Count).DetachFromDisposeScope())];
    }
}
