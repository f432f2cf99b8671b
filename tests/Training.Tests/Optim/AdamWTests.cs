using Phi3VCluster.Spec;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Optim;

public sealed class AdamWTests
{
    private static readonly OptimizerSpec Spec = new() { WeightDecay = 0.1, Betas = [0.9, 0.95], Epsilon = 1e-7 };

    /// <summary>Decay changes three times; sizes are odd so that shards cut tensors anywhere.</summary>
    private static readonly FlatEntry[] Entries =
    [
        new(new("a.weight", [13, 7]), true), new(new("b.weight", [31]), true), new(new("b.bias", [5]), false),
        new(new("c.bias", [9]), false), new(new("d.weight", [3, 11]), true),
    ];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void Shards_stepped_one_by_one_follow_the_formula(int worldSize)
    {
        using var scope = NewDisposeScope();
        using var parameters = Start();
        var expected = new Formula(parameters.Values.data<float>().ToArray());
        var shards = Enumerable.Range(0, worldSize).Select(rank => parameters.Shard(rank, worldSize));
        var optimizers = shards.Select(shard => new AdamW(parameters, shard, Spec)).ToArray();

        for (var step = 1; step <= 20; step++)
        {
            DrawGradients(parameters, step);
            expected.Step(parameters.Gradients.data<float>().ToArray(), learningRate: 0.01 * step, step);
            foreach (var optimizer in optimizers) optimizer.Step(0.01 * step);
        }

        var values = parameters.Values.data<float>().ToArray();
        for (var i = 0; i < values.Length; i++) Assert.Equal(expected.Values[i], values[i], 1e-5); // float32 against float64 over 20 steps
        foreach (var optimizer in optimizers) optimizer.Dispose();
    }

    [Fact]
    public void A_rate_of_zero_moves_the_moments_and_not_the_values()
    {
        using var scope = NewDisposeScope();
        using var parameters = Start();
        using var optimizer = new AdamW(parameters, parameters.Shard(0, 1), Spec);
        var before = parameters.Values.data<float>().ToArray();
        DrawGradients(parameters, 1);

        optimizer.Step(0);

        Assert.Equal(before, parameters.Values.data<float>().ToArray());
        Assert.True(optimizer.SecondMoments.min().item<float>() > 0);
        Assert.Equal(1, optimizer.StepCount);
    }

    [Fact]
    public void Moments_and_step_count_copied_to_another_optimizer_continue_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        using var one = Start();
        using var other = Start();
        using var first = new AdamW(one, one.Shard(1, 2), Spec);
        using var second = new AdamW(other, other.Shard(1, 2), Spec);
        for (var step = 1; step <= 3; step++) StepWith(one, first, step);

        other.Values.copy_(one.Values);
        second.FirstMoments.copy_(first.FirstMoments);
        second.SecondMoments.copy_(first.SecondMoments);
        second.StepCount = first.StepCount;
        StepWith(one, first, 4);
        StepWith(other, second, 4);

        Assert.Equal(one.Values.data<float>().ToArray(), other.Values.data<float>().ToArray());
    }

    [Fact]
    public void A_shard_is_cut_only_where_decay_changes()
    {
        Assert.Equal([new(0, 122), new(136, 33)], DecayRanges.Of(Entries, new(0, 169), decays: true));
        Assert.Equal([new ShardRange(122, 14)], DecayRanges.Of(Entries, new(0, 169), decays: false));
        Assert.Equal([new(120, 2), new(136, 4)], DecayRanges.Of(Entries, new(120, 20), decays: true));
        Assert.Empty(DecayRanges.Of(Entries, new(0, 50), decays: false));
        Assert.Empty(DecayRanges.Of(Entries, new(60, 0), decays: true));
    }

    [Fact]
    public void An_empty_shard_steps_over_nothing()
    {
        using var scope = NewDisposeScope();
        using var parameters = new FlatParameters([new(new("one.weight", [1]), true)], CPU);
        using var optimizer = new AdamW(parameters, parameters.Shard(1, 2), Spec);

        optimizer.Step(1);

        Assert.Equal(0, parameters.Values.item<float>());
    }

    private static FlatParameters Start()
    {
        var parameters = new FlatParameters(Entries, CPU);
        using var generator = new Generator(1);
        parameters.Values.copy_(randn(parameters.Count, generator: generator));
        return parameters;
    }

    private static void DrawGradients(FlatParameters parameters, int step)
    {
        using var generator = new Generator((ulong)step);
        parameters.Gradients.copy_(randn(parameters.Count, generator: generator));
    }

    private static void StepWith(FlatParameters parameters, AdamW optimizer, int step)
    {
        DrawGradients(parameters, step);
        optimizer.Step(0.01);
    }

    /// <summary>AdamW as its paper writes it, in float64.</summary>
    private sealed class Formula(float[] start)
    {
        private readonly double[] _first = new double[start.Length], _second = new double[start.Length];

        public double[] Values { get; } = [.. start.Select(value => (double)value)];

        public void Step(float[] gradients, double learningRate, int step)
        {
            for (var i = 0; i < Values.Length; i++)
            {
                _first[i] = 0.9 * _first[i] + 0.1 * gradients[i];
                _second[i] = 0.95 * _second[i] + 0.05 * gradients[i] * gradients[i];
                var decay = i is >= 122 and < 136 ? 0 : 0.1;
                var (m, v) = (_first[i] / (1 - Math.Pow(0.9, step)), _second[i] / (1 - Math.Pow(0.95, step)));
                Values[i] = Values[i] * (1 - learningRate * decay) - learningRate * m / (Math.Sqrt(v) + 1e-7);
            }
        }
    }
}
