using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Native.Kernels;

/// <summary>Our CUDA kernels, run thread by thread on the CPU from the same source, against libtorch in float32.</summary>
public sealed class CudaKernelsTests : IDisposable
{
    private const double Rounding = 6e-3; // of a bf16 result
    private const int Rows = 5, Width = 256, Inner = 48;

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Generator _random = new(3);
    private readonly CudaKernels _kernels = new(new EmulatedModule(), processors: 1);
    private readonly PlainKernels _plain = new();

    [Fact]
    public void Rms_norm_and_its_gradients()
    {
        var (x, residual, weight, dy) = (Random(Rows, Width), Random(Rows, Width), Random(Width), Random(Rows, Width));
        var (dw, dw32) = (zeros(Width), zeros(Width));

        var (h, y, rms) = _kernels.RmsNorm(x, residual, weight, 1e-5);
        var (h32, y32, rms32) = _plain.RmsNorm(Wide(x), Wide(residual), Wide(weight), 1e-5);
        AssertClose(h32, h, Rounding);
        AssertClose(y32, y, Rounding);
        AssertClose(rms32, rms, Rounding);

        var dx = _kernels.RmsNormBackward(dy, h, weight, rms, residual, dw);
        var dx32 = _plain.RmsNormBackward(Wide(dy), Wide(h), Wide(weight), rms, Wide(residual), dw32);
        AssertClose(dx32, dx, Rounding);
        AssertClose(dw32, dw, 1e-5);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Layer_norm_and_its_gradients(bool trained)
    {
        var (x, residual, weight, bias, dy) = (Random(Rows, Width), Random(Rows, Width), Random(Width), Random(Width), Random(Rows, Width));
        var (dw, db, dw32, db32) = (zeros(Width), zeros(Width), zeros(Width), zeros(Width));

        var (h, y, mean, deviation) = _kernels.LayerNorm(x, residual, weight, bias, 1e-5);
        var (h32, y32, mean32, deviation32) = _plain.LayerNorm(Wide(x), Wide(residual), Wide(weight), Wide(bias), 1e-5);
        AssertClose(h32, h, Rounding);
        AssertClose(y32, y, Rounding);
        AssertClose(mean32.flatten(), mean, Rounding);
        AssertClose(deviation32.flatten(), deviation, Rounding);

        var dx = _kernels.LayerNormBackward(dy, h, weight, mean, deviation, residual, trained ? dw : null, trained ? db : null);
        var dx32 = _plain.LayerNormBackward(
            Wide(dy), Wide(h), Wide(weight), mean.unsqueeze(1), deviation.unsqueeze(1), Wide(residual), dw32, db32);
        AssertClose(dx32, dx, Rounding);
        if (!trained) return;
        AssertClose(dw32, dw, 1e-5);
        AssertClose(db32, db, 1e-5);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Swiglu_and_its_gradients(bool again)
    {
        var (gateUp, d) = (Random(Rows, 2 * Inner), Random(Rows, Inner));
        var wide = Wide(gateUp);
        AssertClose(_plain.SwiGlu(wide), _kernels.SwiGlu(gateUp), Rounding);

        var product32 = _plain.SwiGluBackward(wide, Wide(d), again: true);
        var product = _kernels.SwiGluBackward(gateUp, d, again);

        AssertClose(wide, gateUp, Rounding); // both hold the gradients now
        Assert.Equal(again, product is not null);
        if (product is not null) AssertClose(product32!, product, Rounding);
    }

    [Fact]
    public void Quick_gelu_and_its_gradient()
    {
        var (x, d) = (Random(Rows, Inner), Random(Rows, Inner));
        var d32 = Wide(d);
        AssertClose(_plain.QuickGelu(Wide(x)), _kernels.QuickGelu(x), Rounding);

        _plain.QuickGeluBackward(Wide(x), d32);
        _kernels.QuickGeluBackward(x, d);

        AssertClose(d32, d, Rounding);
    }

    [Theory]
    [InlineData(3, 3)]
    [InlineData(4, 2)]
    public void Rotation_of_some_heads_there_and_back(int heads, int kvHeads)
    {
        const int size = 32;
        var x = Random(Rows, (heads + 2 * kvHeads) * size);
        var angle = rand(Rows, size / 2, generator: _random);
        var cos = cat([angle.cos(), angle.cos()], 1).unsqueeze(1).to_type(ScalarType.BFloat16);
        var sin = cat([angle.sin().neg(), angle.sin()], 1).unsqueeze(1).to_type(ScalarType.BFloat16);
        var wide = Wide(x);
        _plain.Rotate(wide, Wide(cos), Wide(sin), heads + kvHeads);

        _kernels.Rotate(x, cos, sin, heads + kvHeads);

        AssertClose(wide, x, Rounding);
        var (dq, dk, dv) = (Random(Rows, heads, size), Random(Rows, kvHeads, size), Random(Rows, kvHeads, size));
        var joined = _plain.RotateBack(Wide(dq), Wide(dk), Wide(dv), Wide(cos), Wide(sin));
        AssertClose(joined, _kernels.RotateBack(dq, dk, dv, cos, sin), Rounding);
    }

    [Fact]
    public void Rows_in_8_bits()
    {
        var x = Random(Rows, Width);
        x[1].zero_();
        x[2].mul_(tensor(1e-4f)); // the row has numbers that are subnormal beside its largest
        x[2, 7] = tensor(300f);
        x[3, 5] = tensor(float.NaN);

        var (found, expected) = (_kernels.Quantize(x), _plain.Quantize(x));

        Assert.Equal(expected.Scales.data<float>(), found.Scales.data<float>());
        Assert.Equal(expected.Bytes.data<byte>(), found.Bytes.data<byte>());
        AssertClose(Wide(x[0]), found.Numbers()[0], 4e-2);
        Assert.True(found.Numbers()[1].eq(zeros(1)).all().item<bool>());
        Assert.True(found.Numbers()[3].isnan().all().item<bool>());
    }

    [Fact]
    public void Adamw_with_copies_and_square_sums()
    {
        const int count = 4096;
        Tensor Wide32() => randn(count, generator: _random);
        var (p, g, m, v, copies) = (Wide32(), Wide32(), Wide32(), Wide32().square(), empty(count, ScalarType.BFloat16));
        var (p2, g2, m2, v2) = (p.clone(), g.Times(0.5), m.clone(), v.clone());
        AtenOps.FusedAdamW([p2], [g2], [m2], [v2], [tensor(7f)], 1e-2, 0.9, 0.95, 0.01, 1e-7);

        _kernels.AdamW(p, g, m, v, copies, gradientScale: 0.5, 1e-2, 0.01, 0.9, 0.95, 1e-7, step: 7);

        AssertClose(p2, p, 1e-6);
        AssertClose(m2, m, 1e-6);
        AssertClose(v2, v, 1e-6);
        AssertClose(p2, copies, Rounding);
        Assert.Equal(g.to_type(ScalarType.Float64).square().sum().item<double>(), _kernels.SquareSum(g).item<double>(), 1e-9);
    }

    public void Dispose()
    {
        _scope.Dispose();
        _random.Dispose();
    }

    private Tensor Random(params long[] shape) => randn(shape, generator: _random).to_type(ScalarType.BFloat16);

    private static Tensor Wide(Tensor x) => x.to_type(ScalarType.Float32);

    private static void AssertClose(Tensor expected, Tensor found, double most)
    {
        var distance = Wide(found).sub(Wide(expected)).norm().item<float>() / expected.norm().item<float>();
        Assert.InRange(distance, 0, most);
    }
}
