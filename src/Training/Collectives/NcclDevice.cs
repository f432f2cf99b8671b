using Phi3VCluster.Training.Native;
using TorchSharp;

namespace Phi3VCluster.Training.Collectives;

/// <summary>What a rank brings to NCCL.</summary>
/// <param name="Nccl">The library.</param>
/// <param name="Streams">Of the rank's device.</param>
/// <param name="Memory">Of the tensors that NCCL moves; those of the CPU go over the host ring.</param>
internal sealed record NcclDevice(NcclLibrary Nccl, CudaStreams Streams, DeviceType Memory)
{
    /// <summary>Null where a rank cannot use NCCL.</summary>
    /// <param name="cudaDevice">Null on the CPU.</param>
    /// <param name="lack">Why not.</param>
    public static NcclDevice? Find(int? cudaDevice, out string lack)
    {
        lack = "it computes on the CPU";
        if (cudaDevice is not { } device || NcclLibrary.Load(out lack) is not { } nccl) return null;
        lack = "";
        return new(nccl, CudaStreams.Of(device), DeviceType.CUDA);
    }
}
