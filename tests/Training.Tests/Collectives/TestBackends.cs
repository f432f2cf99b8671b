using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Tests.Collectives.Nccl;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>The collectives of the catalogue as tests use them: on tensors of host memory, NCCL therefore over its stand-in.</summary>
internal static class TestBackends
{
    public static IEnumerable<ICollectiveBackend> All => Catalog<ICollectiveBackend>.All;

    public static Lease Find(string name) => new(name == "nccl" ? new StandIn() : Catalog<ICollectiveBackend>.Find(name, "test"));

    /// <summary>A backend for one test; when it is given back, what it noticed in secret fails the test.</summary>
    internal sealed class Lease(ICollectiveBackend backend) : ICollectiveBackend, IDisposable
    {
        public string Name => backend.Name;
        public int MaxWorldSize => backend.MaxWorldSize;

        public ICollectiveEndpoint Open(string host, int? cudaDevice = null) => backend.Open(host, cudaDevice);

        public void Dispose() => (backend as IDisposable)?.Dispose();
    }
}
