using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Runs;

/// <summary>
/// What "auto" means once the kind of device is known. It has to serve any world size, for that changes while a run trains.
/// </summary>
internal static class CollectiveChoice
{
    public static string For(RunSpec spec, string device) => (spec.Cluster.Collective, device, spec.Cluster.MaxRanks) switch
    {
        (not "auto", _, _) => spec.Cluster.Collective,
        (_, _, 1) => "loopback",
        (_, "cuda", _) when spec.Batch.GradientType != "fp32" => "tcp", // NCCL carries float32 alone
        (_, "cuda", _) => "nccl-or-tcp", // which of them only the nodes can tell
        _ => "tcp",
    };
}
