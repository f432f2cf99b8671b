using Phi3VCluster.Training.Collectives;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Collectives;

public sealed class HalfFormatTests
{
    /// <summary>Halfway between two, at the ends of either range, below what is normal, and what is no number.</summary>
    private static readonly float[] Special =
    [
        0, -0f, 1, 1.00390625f, 1.01171875f, 1.00048828125f, 65504, 65520, 3.3895314e38f, float.MaxValue, 6e-8f, 2e-8f, 1e-40f,
        float.PositiveInfinity, float.NegativeInfinity,
    ];

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public unsafe void Numbers_are_rounded_and_widened_as_libtorch_does(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var values = cat([tensor(Special), randn(1_003, generator: generator), randn(77, generator: generator).exp2().mul(1e-4f)]);
        var numbers = values.data<float>().ToArray();
        var (rounded, widened) = (new ushort[numbers.Length], new float[numbers.Length]);

        fixed (float* from = numbers, back = widened)
        fixed (ushort* to = rounded)
        {
            IHalfFormat.Of(type).Round(from, to, numbers.Length);
            IHalfFormat.Of(type).Widen(to, back, numbers.Length);
        }

        Assert.Equal(values.to_type(type).to_type(ScalarType.Float32).data<float>().ToArray(), widened);
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public unsafe void What_is_no_number_stays_none(ScalarType type)
    {
        float[] none = [.. Enumerable.Range(0, 17).Select(i => BitConverter.UInt32BitsToSingle(0x7f800001u + ((uint)i << 31)))];
        var (rounded, widened) = (new ushort[none.Length], new float[none.Length]);

        fixed (float* from = none, back = widened)
        fixed (ushort* to = rounded)
        {
            IHalfFormat.Of(type).Round(from, to, none.Length);
            IHalfFormat.Of(type).Widen(to, back, none.Length);
        }

        Assert.All(widened, number => Assert.True(float.IsNaN(number)));
    }

    [Fact]
    public void Another_type_is_refused() => Assert.Throws<ArgumentException>(() => IHalfFormat.Of(ScalarType.Float64));
}
