using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine.Checks;

/// <summary>What a node's ranks compute with.</summary>
/// <param name="Words">The devices' names, the driver, free memory and NCCL; or that it is the CPU, and why.</param>
/// <param name="Gpus">CUDA devices that ranks take.</param>
/// <param name="NcclVersion">E.g. 22809 for 2.28.9; 0 where there is none.</param>
public sealed record DeviceReport(string Words, int Gpus = 0, int NcclVersion = 0)
{
    private const double GiB = 1L << 30;

    /// <summary>Of a node that has no ranks.</summary>
    public static DeviceReport None { get; } = new("no ranks");

    /// <param name="usesGpus">False leaves CUDA devices alone.</param>
    public static DeviceReport OfThisMachine(bool usesGpus = true)
    {
        if (!usesGpus) return new("cpu; GPUs are left alone, as its silo was told");
        if (Cuda.DeviceCount is var gpus && gpus == 0) return new(WithoutGpu());
        var nccl = NcclLibrary.Load(out var reason);
        string[] words = [Names(gpus), .. Driver(), .. Memory(gpus), nccl is null ? $"no NCCL: {reason}" : reason];
        return new(string.Join(", ", words), gpus, nccl?.Version ?? 0);
    }

    private static string WithoutGpu() =>
        NvidiaDriver.Version is not { } version ? "cpu"
        : LibTorch.HasCuda ? $"cpu: libtorch finds no GPU, though there is a driver {version}"
        : $"cpu: this libtorch came without CUDA, though there is a driver {version}";

    private static string Names(int gpus) => string.Join(" and ", Enumerable.Range(0, gpus).Select(Cuda.Name).CountBy(name => name)
        .Select(same => same.Value == 1 ? same.Key : $"{same.Value} × {same.Key}"));

    private static IEnumerable<string> Driver() => NvidiaDriver.Version is { } version ? [$"driver {version}"] : [];

    /// <summary>Of all processes' memory: the driver is asked, for a context of our own would take some.</summary>
    private static IEnumerable<string> Memory(int gpus)
    {
        if (Nvml.Load() is not { } nvml) return ["free memory not known without libnvidia-ml.so.1"];
        double[] free = [.. Enumerable.Range(0, gpus).Select(i => nvml.Memory(Cuda.BusId(i))?.Free / GiB).OfType<double>().Order()];
        return free.Length < gpus ? ["free memory not told"]
            : free[^1] - free[0] < 0.1 ? [$"{free[0]:0.0} GiB free{(gpus > 1 ? " on each" : "")}"]
            : [$"{free[0]:0.0} to {free[^1]:0.0} GiB free"];
    }
}
