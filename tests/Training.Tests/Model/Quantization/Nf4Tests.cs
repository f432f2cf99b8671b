using Phi3VCluster.Training.Model.Quantization;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model.Quantization;

public sealed class Nf4Tests
{
    private static readonly float[] Codebook = Nf4Codebook.Values.ToArray();

    [Fact]
    public void What_the_codes_stand_for_comes_back_unchanged()
    {
        using var scope = NewDisposeScope();
        var weight = stack([.. new[] { 1f, 0.5f, 1024f, 3e-20f }.Select(scale => tensor(Codebook).repeat(4) * scale)]);

        using var stored = Nf4Tensor.Quantize(weight, doubleQuantization: false, CPU);

        Assert.Equal(Enumerable.Range(0, 8).Select(i => (byte)(2 * i << 4 | 2 * i + 1)), stored.Packed.bytes[..8].ToArray());
        AssertSame(weight, stored.Dequantize(ScalarType.Float32));
    }

    [Theory]
    [InlineData(1), InlineData(2), InlineData(63), InlineData(64), InlineData(65), InlineData(17 * 52), InlineData(70_001)]
    public void Numbers_of_every_size_become_what_the_definition_says(int count)
    {
        using var scope = NewDisposeScope();
        var numbers = (Normal(count) * Normal(count).flip(0).mul(20).exp()).data<float>().ToArray(); // magnitudes from denormal to huge
        var (codes, absmax) = PlainNf4.Quantize(numbers);

        using var stored = Nf4Tensor.Quantize(tensor(numbers), doubleQuantization: false, CPU);

        AssertSame(tensor(PlainNf4.Pack(codes)), stored.Packed);
        AssertSame(tensor(absmax), stored.Scales.Values);
        AssertSame(tensor(PlainNf4.Dequantize(codes, absmax)), stored.Dequantize(ScalarType.Float32));
    }

    [Theory]
    [InlineData(1e-36f), InlineData(2e-38f), InlineData(1e-38f), InlineData(1e-39f), InlineData(1e-44f), InlineData(0f)]
    public void Blocks_near_the_smallest_floats_become_what_the_definition_says(float largest)
    {
        using var scope = NewDisposeScope();
        float[] numbers = [.. Enumerable.Range(-50, 101).Select(i => i / 50f * largest)]; // a whole block and a part
        var (codes, absmax) = PlainNf4.Quantize(numbers);

        using var stored = Nf4Tensor.Quantize(tensor(numbers), doubleQuantization: false, CPU);

        AssertSame(tensor(PlainNf4.Pack(codes)), stored.Packed);
        AssertSame(tensor(absmax), stored.Scales.Values);
        AssertSame(tensor(PlainNf4.Dequantize(codes, absmax)), stored.Dequantize(ScalarType.Float32));
    }

    [Fact]
    public void In_the_middle_between_two_values_the_lower_is_taken_and_just_above_it_the_upper()
    {
        using var scope = NewDisposeScope();
        var middles = Codebook.Zip(Codebook.Skip(1), (lower, upper) => (lower + upper) / 2);
        float[] block = [.. middles.SelectMany(middle => new[] { middle, MathF.BitIncrement(middle) }), .. Enumerable.Repeat(1f, 34)];

        using var stored = Nf4Tensor.Quantize(tensor(block), doubleQuantization: false, CPU);

        Assert.Equal(Enumerable.Range(0, 15).Select(i => (byte)(i << 4 | i + 1)), stored.Packed.bytes[..15].ToArray());
    }

    [Fact]
    public void A_block_of_zeros_or_of_no_numbers_leaves_its_neighbours_alone()
    {
        using var scope = NewDisposeScope();
        var weight = stack([full(64, 2f), zeros(64), full(64, 3f), full(64, float.NaN), full(64, float.PositiveInfinity), full(64, -4f)]);

        using var stored = Nf4Tensor.Quantize(weight, doubleQuantization: false, CPU);
        var restored = stored.Dequantize(ScalarType.Float32);

        Assert.All(stored.Packed.bytes[32..64].ToArray(), pair => Assert.Equal(0x77, pair));
        AssertSame(weight[TensorIndex.Slice(0, 3)], restored[TensorIndex.Slice(0, 3)]);
        AssertSame(weight[5], restored[5]);
        Assert.False(restored[TensorIndex.Slice(3, 5)].isfinite().any().item<bool>());
    }

    [Fact]
    public void Double_quantisation_moves_a_magnitude_by_less_than_the_widest_gap_between_codes()
    {
        using var scope = NewDisposeScope();
        using var single = Nf4Tensor.Quantize(Normal(300, 70 * 64), doubleQuantization: false, CPU);
        var exact = single.Scales.Values.data<float>().ToArray();
        using var scales = BlockScales.From(single.Scales.Values, doubleQuantization: true, CPU);
        var kept = new float[exact.Length];
        scales.Read(0, kept);

        const float halfGap = 0.9f / 64 / 2, tableStep = 2f / 65535;
        var largest = scales.Absmax!.data<float>().ToArray();
        for (var i = 0; i < exact.Length; i++)
            Assert.InRange(MathF.Abs(kept[i] - exact[i]), 0, (halfGap + tableStep) * largest[i / 256]);
        Assert.NotEqual(exact, kept);
    }

    [Theory]
    [InlineData(false, ScalarType.Float32), InlineData(true, ScalarType.Float32)]
    [InlineData(true, ScalarType.BFloat16), InlineData(true, ScalarType.Float16)]
    public void Torchs_operations_restore_the_same_bits_as_the_loops_over_memory(bool doubleQuantization, ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var torch = new Nf4Torch(CPU);
        foreach (var count in new[] { 1, 63, 64, 100, 64 * 256, 64 * 257 + 5, (1 << 22) + 129 }) // the last is more than a chunk
        {
            using var step = NewDisposeScope();
            using var stored = Nf4Tensor.Quantize(Normal(count), doubleQuantization, CPU);
            var restored = empty(count, type);

            using (no_grad()) torch.Dequantize(stored.Packed, stored.Scales, restored);

            AssertSame(stored.Dequantize(type), restored);
        }
    }

    [Theory]
    [InlineData(ScalarType.BFloat16), InlineData(ScalarType.Float16), InlineData(ScalarType.Float64)]
    public void A_weight_of_another_type_is_stored_like_its_float32_and_restored_as_that_rounded(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var weight = Normal(333, 444).to_type(type);

        using var stored = Nf4Tensor.Quantize(weight, doubleQuantization: true, CPU);
        using var expected = Nf4Tensor.Quantize(weight.to_type(ScalarType.Float32), doubleQuantization: true, CPU);

        AssertSame(expected.Packed, stored.Packed);
        AssertSame(expected.Dequantize(ScalarType.Float32).to_type(type), stored.Dequantize(type));
    }

    [Fact]
    public void A_view_that_is_not_contiguous_is_stored_as_it_reads()
    {
        using var scope = NewDisposeScope();
        var weight = Normal(70, 130).t();

        using var stored = Nf4Tensor.Quantize(weight, doubleQuantization: false, CPU);
        using var expected = Nf4Tensor.Quantize(weight.clone().contiguous(), doubleQuantization: false, CPU);

        Assert.Equal([130, 70], stored.Shape);
        AssertSame(expected.Dequantize(ScalarType.Float32), stored.Dequantize(ScalarType.Float32));
    }

    [Fact]
    public void It_outlives_the_scope_it_was_made_in_and_gives_no_gradient()
    {
        using var outer = NewDisposeScope();
        Nf4Tensor stored;
        using (NewDisposeScope()) stored = Nf4Tensor.Quantize(nn.Parameter(ones(3, 64)), doubleQuantization: true, CPU);
        using var owned = stored;
        Tensor restored;
        using (var inner = NewDisposeScope())
        {
            restored = stored.Dequantize(ScalarType.Float32);
            Assert.Equal(1, inner.DisposablesCount);
            AssertSame(ones(3, 64), restored);
            Assert.False(restored.requires_grad);
        }
        Assert.True(restored.IsInvalid);
    }

    [Fact]
    public void An_element_takes_half_a_byte_and_its_share_of_a_magnitude()
    {
        using var scope = NewDisposeScope();
        const int count = 64 * 256 * 4;
        var weight = Normal(count);
        using var single = Nf4Tensor.Quantize(weight, doubleQuantization: false, CPU);
        using var nested = Nf4Tensor.Quantize(weight, doubleQuantization: true, CPU);

        Assert.Equal(count * (0.5 + 4.0 / 64), single.SizeBytes);
        Assert.Equal(count * (0.5 + 1.0 / 64 + 4.0 / (64 * 256)) + sizeof(float), nested.SizeBytes); // and one offset
    }

    [Fact]
    public void Only_floats_are_stored()
    {
        using var weight = zeros(64, ScalarType.Int32);
        var error = Assert.Throws<ArgumentException>(() => Nf4Tensor.Quantize(weight, doubleQuantization: false, CPU));
        Assert.Contains("Int32", error.Message);
    }

    [Fact]
    public void A_place_of_another_shape_is_refused()
    {
        using var scope = NewDisposeScope();
        using var stored = Nf4Tensor.Quantize(Normal(8, 64), doubleQuantization: false, CPU);
        Assert.Contains("[64, 8]", Assert.Throws<ArgumentException>(() => stored.DequantizeTo(empty(64, 8))).Message);
    }

    private static Tensor Normal(params long[] shape)
    {
        using var generator = new Generator(1);
        return randn(shape, generator: generator);
    }

    private static void AssertSame(Tensor expected, Tensor actual)
    {
        Assert.Equal((expected.dtype, expected.numel()), (actual.dtype, actual.numel()));
        Assert.True(expected.contiguous().bytes.SequenceEqual(actual.contiguous().bytes), "not the same bits");
    }
}
