namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// NCCL if every rank can, else the TCP ring for all, by a copy to the host and back: what "auto" means where ranks have GPUs. Who lacks
/// what is in the addresses: all ranks come to the same decision, and say so.
/// </summary>
internal sealed class NcclOrTcpBackend : ICollectiveBackend
{
    public string Name => "nccl-or-tcp";

    public int MaxWorldSize => int.MaxValue;

    public ICollectiveEndpoint Open(string host, int? cudaDevice, IPeerTls? tls) =>
        new NcclEndpoint(host, NcclDevice.Find(cudaDevice, out var lack), lack, orTcp: true, tls);
}
