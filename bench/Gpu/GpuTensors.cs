using System.Diagnostics;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu;

/// <summary>What all checks need: the device, fresh random tensors, distances and times.</summary>
internal static class GpuTensors
{
    public static readonly Device Gpu = new(DeviceType.CUDA, 0);

    /// <summary>Loads libtorch and makes the first device this thread's.</summary>
    public static void Begin()
    {
        LibTorch.Load();
        if (Cuda.DeviceCount == 0)
            throw new LibTorchException("libtorch finds no CUDA device; see nvidia-smi, and PHI3V_LIBTORCH for a libtorch with CUDA.");
        Cuda.Use(0);
    }

    public static Tensor Random(ScalarType type, params long[] shape) => randn(shape, ScalarType.Float32, Gpu).to_type(type);

    /// <summary>‖a − b‖ / ‖b‖ in float64; NaN wherever one is.</summary>
    public static double Distance(Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        var (x, y) = (a.to(ScalarType.Float64).cpu(), b.to(ScalarType.Float64).cpu());
        return linalg.vector_norm(x.sub(y)).item<double>() / linalg.vector_norm(y).item<double>();
    }

    public static GpuRow Compare(string what, Tensor found, Tensor expected, double most)
    {
        var distance = Distance(found, expected);
        return new(what, distance <= most, FormattableString.Invariant($"relative error {distance:0.0e+0}, at most {most:0.0e+0}"))
        {
            Numbers = new Dictionary<string, double> { ["error"] = distance },
        };
    }

    /// <summary>Seconds of one call, the device's work included: the mean of as many as take about a fifth of a second.</summary>
    public static double Seconds(Action work)
    {
        Repeat(work, 3);
        var once = Repeat(work, 1);
        var count = (int)Math.Clamp(0.2 / Math.Max(once, 1e-6), 5, 500);
        return Repeat(work, count) / count;
    }

    private static double Repeat(Action work, int count)
    {
        cuda.synchronize();
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < count; i++)
        {
            using var scope = NewDisposeScope();
            work();
        }
        cuda.synchronize();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
