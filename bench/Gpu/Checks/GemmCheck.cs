using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>The released model's matrix products, forward and both backward ones: the ceiling of all that follows.</summary>
internal sealed class GemmCheck : IGpuCheck
{
    private const long Tokens = 2443;

    public string Name => "gemm";

    public int Order => 4;

    public IEnumerable<GpuRow> Run()
    {
        GpuTensors.Begin();
        yield return Rate("8192³", 8192, 8192, 8192);
        foreach (var (name, outputs, inputs) in ((string, long, long)[])[("qkv", 9216, 3072), ("o", 3072, 3072), ("gate_up", 16384, 3072), ("down", 3072, 8192)])
        {
            yield return Rate($"{name} forward", Tokens, outputs, inputs);
            yield return Rate($"{name} weight gradient", outputs, inputs, Tokens);
        }
    }

    private static GpuRow Rate(string what, long m, long n, long k)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (GpuTensors.Random(ScalarType.BFloat16, m, k), GpuTensors.Random(ScalarType.BFloat16, k, n));
        var rate = 2.0 * m * n * k / GpuTensors.Seconds(() => a.mm(b)) / 1e12;
        return new(what, null, FormattableString.Invariant($"{rate:f0} TFLOP/s")) { Numbers = new Dictionary<string, double> { ["tflops"] = rate } };
    }
}
