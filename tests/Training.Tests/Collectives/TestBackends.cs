using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Tests.Collectives.Nccl;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>
/// The collectives of the catalogue as tests use them: on tensors of host memory, NCCL therefore over its stand-in; and those with
/// sockets once more as between machines, with TLS and without.
/// </summary>
internal static class TestBackends
{
    private const string Far = " between machines", FarWithTls = " between machines with TLS";

    public static IEnumerable<(string Name, int MaxWorldSize)> All => Catalog<ICollectiveBackend>.All
        .Select(backend => (backend.Name, backend.MaxWorldSize))
        .Concat([("tcp" + Far, int.MaxValue), ("tcp" + FarWithTls, int.MaxValue), ("nccl" + FarWithTls, int.MaxValue)]);

    public static Lease Find(string name) => name switch
    {
        "nccl" => new(new StandIn(), null),
        "nccl" + FarWithTls => new(new StandIn(), TestCertificates.Ours.Silo("n")),
        "tcp" + Far => new(new FarTcp(), null),
        "tcp" + FarWithTls => new(new FarTcp(), TestCertificates.Ours.Silo("n")),
        _ => new(Catalog<ICollectiveBackend>.Find(name, "test"), null),
    };

    /// <summary>A backend for one test; when it is given back, what it noticed in secret fails the test.</summary>
    internal sealed class Lease(ICollectiveBackend backend, IPeerTls? tls) : ICollectiveBackend, IDisposable
    {
        public string Name => backend.Name;
        public int MaxWorldSize => backend.MaxWorldSize;

        public ICollectiveEndpoint Open(string host, int? cudaDevice = null, IPeerTls? _ = null) => backend.Open(host, cudaDevice, tls);

        public void Dispose() => (backend as IDisposable)?.Dispose();
    }

    /// <summary>As <see cref="TcpBackend"/> is between machines: without the socket that only ranks of one machine reach.</summary>
    private sealed class FarTcp : ICollectiveBackend
    {
        public string Name => "tcp";
        public int MaxWorldSize => int.MaxValue;

        public ICollectiveEndpoint Open(string host, int? cudaDevice, IPeerTls? tls) => new TcpEndpoint(host, tls, isLocalToo: false);
    }
}
