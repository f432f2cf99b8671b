using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Queue;

/// <summary>Chooses the ranks of a gang: as many as are free, up to the most it takes, and none at all below the least.</summary>
internal static class LeasePlanner
{
    /// <returns>Null if not even the least number of ranks is free.</returns>
    public static Lease? Plan(RankDemand demand, IEnumerable<NodeCapacity> nodes)
    {
        foreach (var kind in demand.Kinds())
        {
            var fitting = nodes.Where(n => n.Has(kind)).ToList();
            if (fitting.Sum(n => n.Free) < demand.MinRanks) continue;
            // Emptiest node first: fewer nodes, and neighbouring ranks share one.
            var places = fitting.OrderByDescending(n => n.Free).ThenBy(n => n.Node, StringComparer.Ordinal)
                .SelectMany(n => Enumerable.Repeat(n, n.Free))
                .Take(demand.MaxRanks)
                .Select((node, rank) => new RankPlace(rank, node.Node, node.Silo))
                .ToList();
            return new Lease(demand.Run, places, kind);
        }
        return null;
    }
}
