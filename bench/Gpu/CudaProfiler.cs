using System.Runtime.InteropServices;

namespace Phi3VCluster.Bench.Gpu;

/// <summary>
/// Marks what a profiler shall see, e.g. <c>ncu --profile-from-start off --metrics gpu__time_duration.sum --csv … gpu-checks pass</c>.
/// Nothing happens without one.
/// </summary>
internal static partial class CudaProfiler
{
    private const string Driver = "libcuda.so.1";

    public static void See(Action work)
    {
        _ = Start();
        work();
        TorchSharp.torch.cuda.synchronize();
        _ = Stop();
    }

    [LibraryImport(Driver, EntryPoint = "cuProfilerStart")]
    private static partial int Start();

    [LibraryImport(Driver, EntryPoint = "cuProfilerStop")]
    private static partial int Stop();
}
