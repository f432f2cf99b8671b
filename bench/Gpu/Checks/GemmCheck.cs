using Phi3VCluster.Training.Native;
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
        (string, long, long)[] maps = [("qkv", 9216, 3072), ("o", 3072, 3072), ("gate_up", 16384, 3072), ("down", 3072, 8192)];
        foreach (var (name, outputs, inputs) in maps)
        {
            yield return Rate($"{name} forward", Tokens, outputs, inputs);
            yield return WeightGradient(name, outputs, inputs);
        }
    }

    /// <summary>As libtorch takes it, and straight into a float32 sum, which must then hold the sum of both.</summary>
    private static GpuRow WeightGradient(string name, long outputs, long inputs)
    {
        using var scope = NewDisposeScope();
        var (dy, x) = (GpuTensors.Random(ScalarType.BFloat16, Tokens, outputs), GpuTensors.Random(ScalarType.BFloat16, Tokens, inputs));
        var before = GpuTensors.Random(ScalarType.Float32, outputs, inputs);
        var sum = before.clone();
        CublasProduct.Accumulate(sum, dy, x);
        var error = GpuTensors.Distance(sum.sub(before), dy.to_type(ScalarType.Float32).t().mm(x.to_type(ScalarType.Float32)));
        double Tera(Action work) => 2.0 * Tokens * outputs * inputs / GpuTensors.Seconds(work) / 1e12;
        var (plain, direct) = (Tera(() => sum.Accumulate(dy.t().mm(x))), Tera(() => CublasProduct.Accumulate(sum, dy, x)));
        return new($"{name} weight gradient", error < 5e-3,
            FormattableString.Invariant($"{direct:f0} TFLOP/s into float32, {plain:f0} by way of bf16, relative error {error:0.0e+0}"))
        {
            Numbers = new Dictionary<string, double> { ["tflops"] = direct, ["tflops_plain"] = plain, ["error"] = error },
        };
    }

    private static GpuRow Rate(string what, long m, long n, long k)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (GpuTensors.Random(ScalarType.BFloat16, m, k), GpuTensors.Random(ScalarType.BFloat16, k, n));
        var rate = 2.0 * m * n * k / GpuTensors.Seconds(() => a.mm(b)) / 1e12;
        return new(what, null, FormattableString.Invariant($"{rate:f0} TFLOP/s"))
        {
            Numbers = new Dictionary<string, double> { ["tflops"] = rate },
        };
    }
}
