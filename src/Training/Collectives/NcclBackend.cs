using Phi3VCluster.Spec;
using Phi3VCluster.Training.Native;
using TorchSharp;

namespace Phi3VCluster.Training.Collectives;

/// <summary>NVIDIA's NCCL between GPUs: over NVLink, InfiniBand or sockets, as it finds them.</summary>
internal sealed class NcclBackend : ICollectiveBackend
{
    public string Name => "nccl";

    public int MaxWorldSize => int.MaxValue;

    /// <exception cref="InputException">There is no NCCL here, or no GPU: what to do.</exception>
    public ICollectiveEndpoint Open(string host, int? cudaDevice)
    {
        if (cudaDevice is not { } device)
            throw new InputException("cluster.collective: nccl joins CUDA devices, and this rank computes on the CPU; write auto or tcp.");
        if (NcclLibrary.Load(out var reason) is not { } nccl)
            throw new InputException($"cluster.collective: nccl cannot be used on {Environment.MachineName}: {reason}; or write auto or tcp.");
        return new NcclEndpoint(host, nccl, CudaStreams.Of(device), DeviceType.CUDA);
    }
}
