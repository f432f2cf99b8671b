namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// A ring of sockets between ranks: TCP across hosts, with TLS where nodes have certificates, a Unix domain socket where both ends share
/// one. Moves host memory, so it is the collective of CPU ranks.
/// </summary>
internal sealed class TcpBackend : ICollectiveBackend
{
    public string Name => "tcp";

    public int MaxWorldSize => int.MaxValue;

    public ICollectiveEndpoint Open(string host, int? cudaDevice, IPeerTls? tls = null) => new TcpEndpoint(host, tls);
}
