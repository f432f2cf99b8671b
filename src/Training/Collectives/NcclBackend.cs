using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Collectives;

/// <summary>NVIDIA's NCCL between GPUs: over NVLink, InfiniBand or sockets, as it finds them.</summary>
internal sealed class NcclBackend : ICollectiveBackend
{
    public string Name => "nccl";

    public int MaxWorldSize => int.MaxValue;

    public ICollectiveEndpoint Open(string host, int? cudaDevice = null, IPeerTls? tls = null) =>
        NcclDevice.Find(cudaDevice, out var lack) is { } device
            ? new NcclEndpoint(host, device, tls: tls)
            : throw new InputException(
                $"cluster.collective: nccl cannot be used by a rank on {Environment.MachineName}: {lack}; or write auto or tcp.");
}
