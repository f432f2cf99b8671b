using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Queue;

/// <summary>The ranks that a run asks for.</summary>
/// <param name="Device">auto | cpu | cuda.</param>
internal sealed record RankDemand(string Run, int MinRanks, int MaxRanks, string Device)
{
    public static RankDemand Of(string run, RunSpec spec) => new(run, spec.Cluster.MinRanks, spec.Cluster.MaxRanks, spec.Cluster.Device);

    /// <summary>Kinds of device that would do, the preferred one first: all ranks of a run compute on the same kind.</summary>
    public IEnumerable<string> Kinds() => Device == "auto" ? ["cuda", "cpu"] : [Device];
}

/// <summary>A node that takes runs, and what is free of it.</summary>
/// <param name="Device">As in <see cref="Interfaces.NodeInfo.Device"/>.</param>
internal sealed record NodeCapacity(string Node, string Silo, string Device, int Ranks, int Free)
{
    /// <summary>Every node has a CPU; "cuda" is the first word of a GPU node's device.</summary>
    public bool Has(string kind) => kind == "cpu" || Device.Split(' ')[0] == kind;
}
