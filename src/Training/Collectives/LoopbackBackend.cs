namespace Phi3VCluster.Training.Collectives;

/// <summary>A world of one rank: a run on one device takes the same steps as a run on many.</summary>
internal sealed class LoopbackBackend : ICollectiveBackend
{
    public string Name => "loopback";

    public int MaxWorldSize => 1;

    public ICollectiveEndpoint Open(string host, int? cudaDevice, IPeerTls? tls) => new Endpoint();

    private sealed class Endpoint : ICollectiveEndpoint
    {
        public string Address => "loopback://";

        public ICollective Connect(long generation, int rank, IReadOnlyList<string> addresses, CancellationToken stop) =>
            addresses.Count == 1
                ? new LoopbackCollective(generation)
                : throw new CollectiveException($"loopback joins one rank, got {addresses.Count}; choose another, e.g. tcp.");

        public void Dispose() { }
    }
}
