using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Optim;

public sealed class GradientNormTests
{
    [Fact]
    public void Squares_that_float32_cannot_hold_are_summed_exactly()
    {
        using var scope = NewDisposeScope();
        var gradients = full(200_001, 1e25f);

        var sum = GradientNorm.SquareSum(gradients, new(0, 200_001));

        Assert.Equal(200_001 * (double)1e25f * 1e25f, sum, sum * 1e-12);
    }

    [Fact]
    public void Shards_add_up_to_the_norm_of_the_whole()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var gradients = randn(100_003, generator: generator);

        var parts = Enumerable.Range(0, 3).Sum(rank => GradientNorm.SquareSum(gradients, ShardRange.Of(100_003, rank, 3)));

        Assert.Equal(gradients.data<float>().ToArray().Sum(g => (double)g * g), parts, 1e-6);
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
    public void A_gradient_that_is_not_a_number_shows_in_the_sum()
    {
        using var scope = NewDisposeScope();
        var gradients = zeros(10);
        gradients[7] = float.NaN;

        Assert.True(double.IsNaN(GradientNorm.SquareSum(gradients, new(0, 10))));
        Assert.Equal(0, GradientNorm.SquareSum(gradients, new(0, 7)));
        Assert.Equal(0, GradientNorm.SquareSum(gradients, new(7, 0)));
    }

    [Theory]
    [InlineData(1.0, 4.0, 0.5)]     // clipped: 2 · 1/4
    [InlineData(1.0, 0.5, 2.0)]     // small enough
    [InlineData(0.0, 4.0, 2.0)]     // 0 never clips
    public void Only_the_own_part_is_scaled_and_only_if_the_norm_is_too_large(double maxNorm, double globalNorm, float expected)
    {
        using var scope = NewDisposeScope();
        var gradients = full(6, 2f);

        GradientNorm.Clip(gradients, new(2, 3), maxNorm, globalNorm);

        Assert.All(gradients.data<float>().ToArray()[2..5], g => Assert.Equal(expected, g, 1e-6f));
        Assert.Equal([2, 2, 2], gradients[tensor(new long[] { 0, 1, 5 })].data<float>().ToArray());
    }
}
