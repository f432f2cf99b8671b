using System.Diagnostics;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>Attention of the decoder and of the tower by either kernel: beside float32, how fast, and what a plan costs.</summary>
internal sealed class AttentionCheck : IGpuCheck
{
    private const double OutputError = 5e-3, GradientError = 1e-2;

    public string Name => "attention";

    public int Order => 4;

    public IEnumerable<GpuRow> Run()
    {
        GpuTensors.Begin();
        using var quiet = no_grad();
        (string What, long[] Lengths, int Heads, int Size, bool Causal)[] cases =
        [
            ("decoder, 2,560", [2560], 32, 96, true), ("decoder, 2,432", [2432], 32, 96, true),
            ("decoder, 1,280 and 2,432", [1280, 2432], 32, 96, true),
            ("decoder, 4,096", [4096], 32, 96, true), ("tower, 17 crops", [.. Enumerable.Repeat(577L, 17)], 16, 64, false),
            ("tower, 34 crops", [.. Enumerable.Repeat(577L, 34)], 16, 64, false),
        ];
        (string Name, Attend Attend)[] kernels = [("flash", FlashAttention.Attend), ("planned", PlannedAttention.Attend)];
        foreach (var (what, lengths, heads, size, causal) in cases)
            foreach (var (kernel, attend) in kernels)
                foreach (var row in Measure($"{what}, {kernel}", attend, lengths, heads, size, causal)) yield return row;
    }

    private delegate Attended Attend(Tensor q, Tensor k, Tensor v, SequenceBounds bounds, bool causal, double scale);

    private static IEnumerable<GpuRow> Measure(string what, Attend attend, long[] lengths, int heads, int size, bool causal)
    {
        using var scope = NewDisposeScope();
        var (rows, scale, bounds) = (lengths.Sum(), 1 / Math.Sqrt(size), SequenceBounds.Of(lengths, GpuTensors.Gpu));
        var packed = GpuTensors.Random(ScalarType.BFloat16, rows, 3 * heads, size);
        var parts = packed.split([heads, heads, heads], 1);
        var (q, k, v, d) = (parts[0], parts[1], parts[2], GpuTensors.Random(ScalarType.BFloat16, rows, heads, size));

        var start = Stopwatch.GetTimestamp();
        var attended = attend(q, k, v, bounds, causal, scale);
        var gradients = attended.Back(q, k, v, d);
        cuda.synchronize();
        var first = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        yield return new($"{what}, first call and its backward", null, FormattableString.Invariant($"{first:f0} ms"));

        Tensor Whole(Tensor x) => x.to_type(ScalarType.Float32);
        var expected = new PlainKernels().Attend(Whole(q), Whole(k), Whole(v), bounds, causal, scale);
        var (dq, dk, dv) = expected.Back(Whole(q), Whole(k), Whole(v), Whole(d));
        yield return GpuTensors.Compare($"{what}, output", attended.Output, expected.Output, OutputError);
        var found = cat([gradients.Q, gradients.K, gradients.V], 1);
        yield return GpuTensors.Compare($"{what}, gradients", found, cat([dq, dk, dv], 1), GradientError);

        yield return Speed($"{what}, forward", 4, () => attend(q, k, v, bounds, causal, scale));
        yield return Speed($"{what}, backward", 10, () => attended.Back(q, k, v, d));

        GpuRow Speed(string name, int products, Action work)
        {
            var seconds = GpuTensors.Seconds(work);
            var flops = products * lengths.Sum(length => (double)length * length) * heads * size / (causal ? 2 : 1);
            return new(name, null, FormattableString.Invariant($"{seconds * 1e3:f3} ms, {flops / seconds / 1e12:f0} TFLOP/s"))
            {
                Numbers = new Dictionary<string, double> { ["milliseconds"] = seconds * 1e3 },
            };
        }
    }
}
