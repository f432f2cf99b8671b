using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Optim;

public sealed class GradientNormTests
{
    [Fact]
    public void Squares_that_float32_cannot_hold_are_summed_exactly()
    {
        using var scope = NewDisposeScope();

        var sum = SquareSums.Of(full(200_001, 1e25f));

        Assert.Equal(200_001 * (double)1e25f * 1e25f, sum, sum * 1e-12);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Shards_add_up_to_the_norm_of_the_whole(bool scattered)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var gradients = randn(1_003, generator: generator).data<float>().ToArray();

        var parts = Enumerable.Range(0, 3).Sum(rank =>
        {
            using var one = Rank(1_003, rank, 3, scattered);
            one.Pass(gradients);
            return GradientNorm.SquareSum(one.Gradients);
        });

        Assert.Equal(gradients.Sum(g => (double)g * g), parts, 1e-6);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(1_003)]
    public void One_pass_over_memory_and_blocks_on_a_device_sum_the_same(long count)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var numbers = randn(count, generator: generator);
        var expected = numbers.data<float>().ToArray().Sum(x => (double)x * x);

        Assert.Equal(expected, SquareSums.OfMemory(numbers), expected * 1e-12);
        Assert.Equal(expected, SquareSums.OfBlocks(numbers, 100), expected * 1e-12);
    }

    [Fact]
    public void A_gradient_that_is_not_a_number_shows_in_the_sum_of_its_owner()
    {
        float[] gradients = [0, 0, 0, 0, 0, 0, 0, float.NaN, 0, 0];
        using var first = Rank(10, 0, 2);
        using var second = Rank(10, 1, 2);
        first.Pass(gradients);
        second.Pass(gradients);

        Assert.Equal(0, GradientNorm.SquareSum(first.Gradients));
        Assert.True(double.IsNaN(GradientNorm.SquareSum(second.Gradients)));
    }

    [Theory]
    [InlineData(1.0, 4.0, 0.25)]
    [InlineData(1.0, 0.5, 1.0)]     // small enough
    [InlineData(0.0, 4.0, 1.0)]     // 0 never clips
    public void Gradients_are_scaled_down_only_if_the_norm_is_too_large(double maxNorm, double globalNorm, double expected) =>
        Assert.Equal(expected, GradientNorm.ClipFactor(maxNorm, globalNorm), 1e-6);

    [Fact]
    public void Only_the_own_part_is_scaled()
    {
        using var scope = NewDisposeScope();
        using var rank = Rank(6, 1, 3);
        rank.Pass([2, 2, 2, 2, 2, 2]);

        GradientNorm.Scale(rank.Gradients, 0.5);

        Assert.Equal([2, 2, 1, 1, 2, 2], rank.Parameters["all"].grad!.data<float>().ToArray());
    }

    private static OptimizerRank Rank(long count, int rank, int worldSize, bool scattered = false) =>
        new([new(new("all", [count]), true)], rank, worldSize, new(), scattered);
}
