using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>The step at the released size, by method: images a second, and what part of the card's matrix rate that is.</summary>
internal sealed class SpeedCheck : IGpuCheck
{
    /// <summary>
    /// TFLOP of a page, forward and backward: the products the method needs, causal attention as a triangle, nothing computed twice, the
    /// head at every position. As bench/peers counts them, so that both shares compare.
    /// </summary>
    private static readonly Dictionary<string, double> TeraFlops =
        new() { ["full"] = 80.0, ["frozen-vision"] = 67.4, ["lora"] = 58.4, ["qlora"] = 58.4 };

    public string Name => "speed";

    public int Order => 10;

    public IEnumerable<GpuRow> Run()
    {
        GpuTensors.Begin();
        var ceiling = Ceiling();
        yield return new("8192³ product", null, FormattableString.Invariant($"{ceiling:f0} TFLOP/s"));
        foreach (var run in Runs(Cuda.Memory(0).Total))
        {
            GpuRow row;
            try
            {
                var (rate, spread, peak, losses) = run.Measure();
                var share = rate * TeraFlops[run.Method] / ceiling;
                var settings = $"{run.Method}, {run.Micro} a pass, recomputing {run.Checkpointing}, attention {run.Kernels}";
                row = new(settings, losses.All(double.IsFinite) && losses[^1] < losses[0],
                    FormattableString.Invariant($"{rate:f2} img/s, {share:p1} of the card, peak {peak / 1e9:f1} GB, ")
                    + FormattableString.Invariant($"slowest step ×{spread:f2}, loss {losses[0]:f3} to {losses[^1]:f3}"))
                {
                    Numbers = new Dictionary<string, double> { ["images_per_second"] = rate, ["mfu"] = share, ["peak_gb"] = peak / 1e9 },
                };
            }
            catch (System.Runtime.InteropServices.ExternalException outOfMemory)
            {
                row = new(run.ToString(), false, outOfMemory.Message.Split('\n')[0]);
            }
            yield return row;
        }
    }

    /// <summary>
    /// The fastest settings that fit: a card of 80 GB holds the full method only if the MLP's products are computed again.
    /// </summary>
    private static IEnumerable<SpeedRun> Runs(long bytes)
    {
        var isLarge = bytes > 100L << 30;
        yield return new("lora", 3, "none") { Plans = false }; // to tell what plans bring
        yield return new("lora", 3, "none");
        yield return new("lora", 3, "none") { Fp8 = true };
        yield return new("frozen-vision", isLarge ? 3 : 1, "none");
        yield return new("frozen-vision", isLarge ? 3 : 1, isLarge ? "none" : "selective") { Fp8 = true };
        yield return new("full", isLarge ? 2 : 1, isLarge ? "none" : "selective");
        if (isLarge) yield return new("full", 2, "none") { Fp8 = true };
        yield return new("qlora", 3, "none");
    }

    private static double Ceiling()
    {
        using var scope = NewDisposeScope();
        const long n = 8192;
        var (a, b) = (GpuTensors.Random(ScalarType.BFloat16, n, n), GpuTensors.Random(ScalarType.BFloat16, n, n));
        return 2.0 * n * n * n / GpuTensors.Seconds(() => a.mm(b)) / 1e12;
    }
}
