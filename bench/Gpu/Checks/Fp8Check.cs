using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>The decoder's products in 8 bits: whether they are what they should be, and what they take beside 16 bits.</summary>
internal sealed class Fp8Check : IGpuCheck
{
    private const long Tokens = 5120; // two letter pages

    public string Name => "fp8";

    public int Order => 4;

    public IEnumerable<GpuRow> Run()
    {
        GpuTensors.Begin();
        using var quiet = no_grad();
        using var first = GpuTensors.Random(ScalarType.Float32, 1);
        var kernels = CudaKernels.Of(GpuTensors.Gpu, ScalarType.BFloat16);
        if (!kernels.HasFp8) yield break;
        (string, long, long)[] maps = [("qkv", 9216, 3072), ("o", 3072, 3072), ("gate_up", 16384, 3072), ("down", 3072, 8192)];
        foreach (var (name, outputs, inputs) in maps)
            foreach (var row in Map(kernels, name, outputs, inputs)) yield return row;
    }

    private static IEnumerable<GpuRow> Map(CudaKernels kernels, string name, long outputs, long inputs)
    {
        using var scope = NewDisposeScope();
        var (x, w) = (GpuTensors.Random(ScalarType.BFloat16, Tokens, inputs), GpuTensors.Random(ScalarType.BFloat16, outputs, inputs));
        var (x8, w8) = (kernels.Quantize(x), kernels.Quantize(w));
        var plain = new PlainKernels().Quantize(x);
        var differ = x8.Bytes.ne(plain.Bytes).sum().item<long>();
        yield return new($"{name} rounding", differ <= x.numel() / 1000000, $"{differ} of {x.numel():n0} bytes differ from libtorch's");
        yield return GpuTensors.Compare($"{name} product of what was rounded", kernels.Product(x8, w8, ScalarType.BFloat16, fast: false),
            x8.Numbers().mm(w8.Numbers().t()), 6e-3);
        var exact = x.to_type(ScalarType.Float32).mm(w.to_type(ScalarType.Float32).t());
        yield return GpuTensors.Compare($"{name}, sums of fewer bits, beside the exact product",
            kernels.Product(x8, w8, ScalarType.BFloat16, fast: true), exact, 0.05);

        double Micro(Action work) => GpuTensors.Seconds(work) * 1e6;
        var sixteen = Micro(() => x.mm(w.t()));
        var (eight, fast) = (
            Micro(() => kernels.Product(x8, w8, ScalarType.BFloat16, fast: false)),
            Micro(() => kernels.Product(x8, w8, ScalarType.BFloat16, fast: true)));
        var rounding = Micro(() => kernels.Quantize(x).Dispose());
        yield return new($"{name} times", null, FormattableString.Invariant(
            $"16 bits {sixteen:f0} µs, 8 bits {eight:f0}, with sums of fewer bits {fast:f0}; rounding {rounding:f0}, ")
            + FormattableString.Invariant($"{3e-3 * x.numel() / rounding:f0} GB/s"))
        {
            Numbers = new Dictionary<string, double> { ["bf16_us"] = sixteen, ["fp8_us"] = eight, ["fp8_fast_us"] = fast },
        };
    }
}
