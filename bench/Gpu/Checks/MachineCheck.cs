using System.Runtime.InteropServices;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>Which card, and which libraries.</summary>
internal sealed class MachineCheck : IGpuCheck
{
    public string Name => "machine";

    public int Order => 1;

    public IEnumerable<GpuRow> Run()
    {
        GpuTensors.Begin();
        var (major, minor) = Cuda.Capability(0);
        var (free, total) = Cuda.Memory(0);
        yield return new("card", true, $"{Cuda.Name(0)}, sm_{major}{minor}, {Cuda.ProcessorCount(0)} multiprocessors, "
            + $"{free / 1e9:f1} of {total / 1e9:f1} GB free");
        yield return new("libtorch", true, $"{LibTorch.Load()}, C interface {AbiVersion()}");
        var compiles = CudaKernels.AreAvailable(GpuTensors.Gpu);
        yield return new("run-time compiler", compiles, compiles ? "NVRTC found" : "no NVRTC beside libtorch");
        string[] symbols =
        [
            "torch_call_dispatcher", "aoti_torch_get_current_cuda_stream", "torch_get_current_cuda_blas_handle", "cublasGemmEx",
            "ncclGetVersion",
        ];
        var process = NativeLibrary.GetMainProgramHandle();
        foreach (var symbol in symbols)
            yield return new(symbol, NativeLibrary.TryGetExport(process, symbol, out _), "exported to the process");
    }

    private static string AbiVersion() => $"0x{Aten.Version:x16}";
}
