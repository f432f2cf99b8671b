using System.Diagnostics;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>A shim built for another libtorch may compute nonsense instead of failing: values are read back and compared.</summary>
internal sealed class ArithmeticCheck : IGpuCheck
{
    public string Name => "arithmetic";

    public int Order => 2;

    public IEnumerable<GpuRow> Run()
    {
        GpuTensors.Begin();
        using var scope = NewDisposeScope();
        var x = randn([4096, 4096], device: GpuTensors.Gpu);
        var (mean, deviation) = (x.mean().item<float>(), x.std().item<float>());
        yield return new("random numbers", Math.Abs(mean) < 0.01 && Math.Abs(deviation - 1) < 0.01,
            FormattableString.Invariant($"mean {mean:f3}, deviation {deviation:f3}"));
        foreach (var row in Gradients()) yield return row;
        foreach (var row in Attention()) yield return row;
    }

    private static IEnumerable<GpuRow> Gradients()
    {
        const int rows = 300, heads = 4, size = 96, width = heads * size;
        var (x, w) = (randn(rows, width), randn(width, width).mul(0.05f));
        var (host, device) = (Step(x, w, CPU, ScalarType.Float32), Step(x, w, GpuTensors.Gpu, ScalarType.BFloat16));
        yield return GpuTensors.Compare("linear and attention in bf16, output", device.Output, host.Output, 2e-2);
        yield return GpuTensors.Compare("linear and attention in bf16, weight gradient", device.Gradient, host.Gradient, 3e-2);
        var exact = Step(x, w, GpuTensors.Gpu, ScalarType.Float32);
        yield return GpuTensors.Compare("linear and attention in fp32, weight gradient", exact.Gradient, host.Gradient, 1e-4);

        (Tensor Output, Tensor Gradient) Step(Tensor x, Tensor w, Device place, ScalarType type)
        {
            var weight = w.to(place).to_type(type).detach().requires_grad_();
            var y = nn.functional.linear(x.to(place).to_type(type), weight).view(1, rows, heads, size).transpose(1, 2);
            var attended = AtenOps.Attention(y, y, y, mask: null, causal: true, 1 / Math.Sqrt(size));
            attended.to_type(ScalarType.Float32).square().sum().backward();
            return (attended.detach(), weight.grad!);
        }
    }

    /// <summary>With cuDNN allowed, each new length would take half a second and more.</summary>
    private static IEnumerable<GpuRow> Attention()
    {
        var (q, seconds) = (Query(2443), new List<double>());
        var choice = Aten.CallForInteger("aten::_fused_sdp_choice", "", q, q, q, AtenValue.None, 0.0, true, AtenValue.None, false);
        yield return new("kernel that attention takes", choice == 1, $"{choice}; 1 is flash, 3 is cuDNN's");
        foreach (var length in (long[])[2443, 2311, 1987, 2120])
        {
            using var one = NewDisposeScope();
            var x = Query(length).requires_grad_();
            cuda.synchronize();
            var start = Stopwatch.GetTimestamp();
            AtenOps.Attention(x, x, x, mask: null, causal: true, 0.1).sum().backward();
            cuda.synchronize();
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        yield return new("attention on lengths never seen", seconds.Skip(1).Max() < 0.1,
            string.Join(", ", seconds.Select(s => FormattableString.Invariant($"{s * 1e3:f1} ms"))));

        static Tensor Query(long length) => GpuTensors.Random(ScalarType.BFloat16, 1, 32, length, 96);
    }
}
