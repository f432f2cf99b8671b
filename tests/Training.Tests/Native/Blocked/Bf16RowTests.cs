using Phi3VCluster.Training.Native.Blocked;

namespace Phi3VCluster.Training.Tests.Native.Blocked;

/// <summary>At counts around the 32 numbers that are taken at a time, beside the formula in double.</summary>
public sealed unsafe class Bf16RowTests
{
    private const double Rounding = 1.0 / 256;

    private readonly Random _random = new(1);

    [Theory]
    [InlineData(1)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(100)]
    public void Exponentials_and_their_sum(int count)
    {
        var row = Row(count, 8);
        var x = Values(row);
        float largest, sum;
        fixed (ushort* at = row)
        {
            largest = Bf16Row.Largest(at, count);
            sum = Bf16Row.Exponentiate(at, count, 0.5f, 0.5f * largest);
        }
        Assert.Equal(x.Max(), largest);
        double[] expected = [.. x.Select(one => Math.Exp(0.5 * (one - x.Max())))];
        Assert.Equal(expected.Sum(), sum, expected.Sum() * 1e-5);
        Assert.All(Values(row).Zip(expected), pair => Assert.Equal(pair.Second, pair.First, pair.Second * Rounding));
    }

    [Fact]
    public void What_is_far_below_the_largest_is_as_good_as_nothing()
    {
        var row = new ushort[64];
        Array.Fill(row, Bits(-3e38f));
        fixed (ushort* at = row) Bf16Row.Exponentiate(at, row.Length, 1, 100);
        Assert.All(Values(row), one => Assert.InRange(one, 0, 1e-37));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(33)]
    [InlineData(100)]
    public void The_gradient_of_a_softmax(int count)
    {
        var (weights, gradients) = (Row(count, 1), Row(count, 1));
        var (p, dp) = (Values(weights), Values(gradients));
        fixed (ushort* at = weights, gradientAt = gradients) Bf16Row.SoftmaxBackward(at, gradientAt, count, 0.5f);
        var mean = p.Zip(dp, (one, other) => one * other).Sum();
        for (var i = 0; i < count; i++)
        {
            var expected = 0.5 * p[i] * (dp[i] - mean);
            Assert.Equal(expected, Values(gradients)[i], (Math.Abs(expected) * Rounding) + 1e-5);
        }
    }

    [Theory]
    [InlineData(5)]
    [InlineData(32)]
    [InlineData(77)]
    public void Scaled_and_added(int count)
    {
        var row = Row(count, 4);
        var (scaled, sum) = (new ushort[count], new float[count]);
        Array.Fill(sum, 1);
        fixed (ushort* at = row, scaledAt = scaled)
        fixed (float* sumAt = sum)
        {
            Bf16Row.Scale(at, 0.3f, scaledAt, count);
            Bf16Row.Add(at, sumAt, count);
        }
        var x = Values(row);
        Assert.All(Values(scaled).Zip(x), pair => Assert.Equal(0.3 * pair.Second, pair.First, (Math.Abs(pair.Second) * Rounding) + 1e-9));
        Assert.Equal(x.Select(one => 1 + (float)one), sum);
    }

    private ushort[] Row(int count, float spread)
    {
        var row = new ushort[count];
        for (var i = 0; i < count; i++) row[i] = Bits((_random.NextSingle() - 0.5f) * 2 * spread);
        return row;
    }

    private static double[] Values(ushort[] row) => [.. row.Select(bits => (double)BitConverter.UInt32BitsToSingle((uint)bits << 16))];

    private static ushort Bits(float x) => (ushort)(BitConverter.SingleToUInt32Bits(x) >> 16);
}
