using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Grains.Runs;

/// <summary>What "auto" means once the ranks are known.</summary>
internal static class CollectiveChoice
{
    public static string For(RunSpec spec, Lease lease) => (spec.Cluster.Collective, lease) switch
    {
        (not "auto", _) => spec.Cluster.Collective,
        (_, { Places.Count: 1 }) => "loopback",
        (_, { Device: "cuda" }) when Catalog<ICollectiveBackend>.All.Any(c => c.Name == "nccl") => "nccl",
        _ => "tcp",
    };
}
