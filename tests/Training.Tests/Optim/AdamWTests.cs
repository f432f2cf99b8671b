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
        new(new("a.weight", [13, 7]), true) { Unit = "a" }, new(new("b.weight", [31]), true) { Unit = "b" },
        new(new("b.bias", [5]), false) { Unit = "b" }, new(new("c.bias", [9]), false) { Unit = "c" },
        new(new("d.weight", [3, 11]), true) { Unit = "c" },
    ];

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(7, false)]
    [InlineData(1, true)]
    [InlineData(3, true)]
    public void Shards_stepped_one_by_one_follow_the_formula(int worldSize, bool scattered)
    {
        using var scope = NewDisposeScope();
        var ranks = Enumerable.Range(0, worldSize).Select(rank => new OptimizerRank(Entries, rank, worldSize, Spec, scattered)).ToArray();
        var expected = new Formula(ranks[0].Parameters.Values.data<float>().ToArray());

        for (var step = 1; step <= 20; step++)
        {
            var gradients = Gradients(step);
            expected.Step(gradients, learningRate: 0.01 * step, step);
            foreach (var rank in ranks) rank.Step(gradients, 0.01 * step);
        }

        Assert.Equal(169, ranks.Sum(rank => rank.Gradients.Layout.OwnCount));
        foreach (var rank in ranks)
        {
            foreach (var (want, got) in rank.OwnOf(expected.Values).Zip(rank.OwnOf(rank.Parameters.Values)))
                Assert.Equal(want, got, 1e-5); // float32 against float64 over 20 steps
            rank.Dispose();
        }
    }

    [Fact]
    public void A_step_looked_at_tensor_by_tensor_is_the_same_step_and_tells_what_changed()
    {
        using var scope = NewDisposeScope();
        using var plain = new OptimizerRank(Entries, 1, 2, Spec);
        using var measured = new OptimizerRank(Entries, 1, 2, Spec);
        plain.Step(Gradients(1), 0.01);
        measured.Step(Gradients(1), 0.01);
        var before = measured.Parameters.Values.clone();
        plain.Step(Gradients(2), 0.01);
        measured.Gradients.Zero();
        measured.Pass(Gradients(2));

        var changes = measured.Optimizer.StepMeasured(0.01);

        Assert.Equal(plain.Parameters.Values.data<float>().ToArray(), measured.Parameters.Values.data<float>().ToArray());
        Assert.Equal(plain.State.StepCounts, measured.State.StepCounts);
        Assert.Equal((measured.Parameters.Values - before).square().sum().item<float>(), changes.Values.Sum(), 1e-8);
        Assert.DoesNotContain("a.weight", changes.Where(change => change.Value == 0).Select(change => change.Key));
        plain.Step(Gradients(3), 0.01);
        measured.Step(Gradients(3), 0.01);
        Assert.Equal(plain.Parameters.Values.data<float>().ToArray(), measured.Parameters.Values.data<float>().ToArray());
    }

    [Fact]
    public void Values_in_16_bits_have_masters_that_remember_small_steps()
    {
        using var scope = NewDisposeScope();
        using var rank = new OptimizerRank(Entries, 0, 1, Spec with { WeightDecay = 0 }, type: ScalarType.BFloat16);
        var start = rank.OwnOf(rank.Parameters.Values);
        var ones = Enumerable.Repeat(1f, 169).ToArray();

        for (var i = 0; i < 64; i++) rank.Step(ones, learningRate: 1e-4); // each far below what bf16 tells apart near 1

        var moved = rank.OwnOf(rank.Parameters.Values).Zip(start, (now, then) => then - now).ToArray();
        Assert.Equal(64e-4, moved.Average(), 1e-3);
        using var masters = rank.State.GatherMasters(_ => { });
        Assert.All(masters.data<float>().ToArray().Zip(start), pair => Assert.Equal(pair.Second - 64e-4, pair.First, 1e-5));
    }

    [Fact]
    public void Tensors_of_two_learning_rates_move_in_proportion()
    {
        using var scope = NewDisposeScope();
        using var rank = new OptimizerRank([Entries[1], Entries[2] with { RateFactor = 3 }], 0, 1, Spec with { WeightDecay = 0 });
        var start = rank.OwnOf(rank.Parameters.Values);

        rank.Step([.. Enumerable.Repeat(1f, 36)], 0.01);

        var moved = rank.OwnOf(rank.Parameters.Values).Zip(start, (now, then) => then - now).ToArray();
        Assert.All(moved[..31], by => Assert.Equal(0.01, by, 1e-5));
        Assert.All(moved[31..], by => Assert.Equal(0.03, by, 1e-5));
    }

    [Fact]
    public void What_only_images_train_is_not_touched_by_a_step_without_images()
    {
        using var scope = NewDisposeScope();
        FlatEntry[] entries = [Entries[1] with { NeedsImages = true }, Entries[2]];
        using var rank = new OptimizerRank(entries, 0, 1, Spec);
        using var other = new OptimizerRank(entries, 0, 1, Spec);
        var gradients = Enumerable.Repeat(1f, 36).ToArray();
        var start = rank.OwnOf(rank.Parameters.Values);

        rank.Step(gradients, 0.01, hadImages: false);

        Assert.Equal(start[..31], rank.OwnOf(rank.Parameters.Values)[..31]);
        Assert.NotEqual(start[31..], rank.OwnOf(rank.Parameters.Values)[31..]);
        Assert.Equal(0, rank.State.FirstMoments.narrow(0, 0, 31).abs().max().item<float>());
        rank.Step(gradients, 0.01); // its own first step, with the first step's bias correction
        other.Step(gradients, 0.01);
        Assert.Equal(other.OwnOf(other.Parameters.Values)[..31], rank.OwnOf(rank.Parameters.Values)[..31]);
    }

    [Fact]
    public void A_rate_of_zero_moves_the_moments_and_not_the_values()
    {
        using var scope = NewDisposeScope();
        using var rank = new OptimizerRank(Entries, 0, 1, Spec);
        var before = rank.Parameters.Values.data<float>().ToArray();

        rank.Step(Gradients(1), 0);

        Assert.Equal(before, rank.Parameters.Values.data<float>().ToArray());
        Assert.True(rank.State.SecondMoments.min().item<float>() > 0);
        Assert.All(rank.State.StepCounts, count => Assert.Equal(1, count));
    }

    [Fact]
    public void Moments_and_step_count_copied_to_another_optimizer_continue_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        using var one = new OptimizerRank(Entries, 1, 2, Spec);
        using var other = new OptimizerRank(Entries, 1, 2, Spec);
        for (var step = 1; step <= 3; step++) one.Step(Gradients(step), 0.01);

        other.Parameters.Values.copy_(one.Parameters.Values);
        PutBack(one.State, other.State);
        one.Step(Gradients(4), 0.01);
        other.Step(Gradients(4), 0.01);

        Assert.Equal(one.Parameters.Values.data<float>().ToArray(), other.Parameters.Values.data<float>().ToArray());
    }

    [Fact]
    public void Groups_that_missed_steps_keep_their_own_counts()
    {
        using var scope = NewDisposeScope();
        FlatEntry[] entries = [Entries[0] with { NeedsImages = true }, .. Entries[1..]];
        using var one = new OptimizerRank(entries, 0, 1, Spec);
        using var other = new OptimizerRank(entries, 0, 1, Spec);
        one.Step(Gradients(1), 0.01);
        one.Optimizer.Step(0.01, hadImages: false);
        Assert.Equal([1, 2], one.State.StepCounts.Distinct().Order());

        other.Parameters.Values.copy_(one.Parameters.Values);
        PutBack(one.State, other.State);
        one.Step(Gradients(2), 0.01);
        other.Step(Gradients(2), 0.01);

        Assert.Equal(one.Parameters.Values.data<float>().ToArray(), other.Parameters.Values.data<float>().ToArray());
    }

    [Fact]
    public void A_shard_is_cut_only_where_its_tensors_differ()
    {
        using var parameters = new FlatParameters(Entries, CPU);

        Assert.Equal([new(0, 122), new(136, 33)], Cut(new(0, 169), decays: true));
        Assert.Equal([new ShardRange(122, 14)], Cut(new(0, 169), decays: false));
        Assert.Equal([new(120, 2), new(136, 4)], Cut(new(120, 20), decays: true));
        Assert.Empty(Cut(new(0, 50), decays: false));
        Assert.Empty(Cut(new(60, 0), decays: true));

        IEnumerable<ShardRange> Cut(ShardRange bucket, bool decays) =>
            OwnRanges.Of(parameters, new([bucket], 0, 1), entry => entry.Decays == decays, merged: true).Select(range => range.Range.Flat);
    }

    [Fact]
    public void An_empty_shard_steps_over_nothing()
    {
        using var scope = NewDisposeScope();
        using var rank = new OptimizerRank([new(new("one.weight", [1]), true)], 1, 2, Spec);
        var before = rank.Parameters.Values.item<float>();

        rank.Step([1], 1);

        Assert.Equal(before, rank.Parameters.Values.item<float>());
    }

    private static void PutBack(OptimizerState from, OptimizerState to)
    {
        foreach (var shard in from.Copy())
            using (shard) to.Restore(shard);
        from.StepCounts.CopyTo(to.StepCounts, 0);
    }

    private static float[] Gradients(int step)
    {
        using var generator = new Generator((ulong)step);
        using var drawn = randn(169, generator: generator);
        return drawn.data<float>().ToArray();
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
