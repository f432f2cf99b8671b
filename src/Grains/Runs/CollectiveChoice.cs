using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Runs;

/// <summary>What "auto" means once the ranks are known.</summary>
internal static class CollectiveChoice
{
    public static string For(RunSpec spec, Lease lease) => (spec.Cluster.Collective, lease) switch
    {
        (not "auto", _) => spec.Cluster.Collective,
        (_, { Places.Count: 1 }) => "loopback",
        (_, { Device: "cuda" }) => "nccl-or-tcp", // which of them only the nodes can tell
        _ => "tcp",
    };
}
