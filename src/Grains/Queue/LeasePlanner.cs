namespace Phi3VCluster.Grains.Queue;

/// <summary>Chooses the places of a gang: as many as are free, up to the most it takes, and none at all below the least.</summary>
internal static class LeasePlanner
{
    /// <returns>A node for each seat, and the kind of device that all have; null if not even the least number of ranks is free.</returns>
    public static (string Device, IReadOnlyList<NodeCapacity> Places)? Plan(RankDemand demand, IEnumerable<NodeCapacity> nodes)
    {
        foreach (var kind in demand.Kinds())
        {
            var fitting = nodes.Where(n => n.Has(kind)).ToList();
            if (fitting.Sum(n => n.Free) >= demand.MinRanks) return (kind, Take(demand.MaxRanks, fitting));
        }
        return null;
    }

    /// <summary>Up to so many free places.</summary>
    public static IReadOnlyList<NodeCapacity> Take(int most, IEnumerable<NodeCapacity> nodes) =>
    [
        // Emptiest node first: fewer nodes, and neighbouring ranks share one.
        .. nodes.OrderByDescending(n => n.Free).ThenBy(n => n.Node, StringComparer.Ordinal)
            .SelectMany(n => Enumerable.Repeat(n, n.Free)).Take(most),
    ];
}
