using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains.Queue;

/// <summary>The ranks that a run asks for.</summary>
/// <param name="Device">auto | cpu | cuda.</param>
/// <param name="Life">How often the run was resumed: what an earlier life says is not about this one.</param>
/// <param name="FirstSeat">Lowest number for its seats.</param>
/// <param name="SubmittedAt">Of two, the younger yields.</param>
/// <param name="ShortSeconds">After so long with too few ranks it leaves them to others.</param>
/// <param name="HasYielded">It did, and is to have ranks again before others of its priority, as soon as there are enough.</param>
/// <param name="Priority">The higher goes first, whoever came before.</param>
internal sealed record RankDemand(
    string Run, int MinRanks, int MaxRanks, string Device, int Life = 0, int FirstSeat = 0, DateTimeOffset SubmittedAt = default,
    int ShortSeconds = 60, bool HasYielded = false, int Priority = 0)
{
    public static RankDemand Of(string run, RunSpec spec) =>
        new(run, spec.Cluster.MinRanks, spec.Cluster.MaxRanks, spec.Cluster.Device,
            ShortSeconds: spec.Failure.ShortSeconds, Priority: spec.Cluster.Priority);

    public static RankDemand Of(QueuedRun run, RunSpec spec) => Of(run.Run, spec) with
    {
        Life = run.Life,
        FirstSeat = run.FirstSeat,
        SubmittedAt = run.SubmittedAt,
    };

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
