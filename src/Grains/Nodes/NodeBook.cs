using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Queue;

namespace Phi3VCluster.Grains.Nodes;

/// <summary>The nodes that sent a heartbeat, and when. Not stored: the next heartbeats tell it all again.</summary>
/// <param name="isAlive">Whether a silo, by its address, is in the cluster.</param>
/// <param name="active">The silos that should have sent one.</param>
internal sealed class NodeBook(Func<string, bool> isAlive, Func<IEnumerable<string>> active, TimeProvider time)
{
    /// <summary>Two heartbeats' time: who was not heard by then is not waited for.</summary>
    private static readonly TimeSpan PatienceForAll = TimeSpan.FromSeconds(4);

    public static readonly TimeSpan SilenceUntilLost = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan SilenceUntilForgotten = TimeSpan.FromMinutes(10);

    private readonly SortedDictionary<string, (NodeInfo Node, long HeardAt)> _nodes = new(StringComparer.Ordinal);
    private readonly long _openedAt = time.GetTimestamp();

    /// <summary>
    /// Whether all nodes have been heard since the book was opened: a gang that is leased before has fewer ranks than there are, for as
    /// long as it runs.
    /// </summary>
    public bool IsComplete =>
        time.GetElapsedTime(_openedAt) > PatienceForAll || active().All(silo => _nodes.Values.Any(n => n.Node.Silo == silo));

    public void Hear(NodeInfo node) => _nodes[node.Node] = (node, time.GetTimestamp());

    /// <summary>A run has ended: its ranks are in their places until their nodes' next heartbeats say that they are not.</summary>
    public void Occupy(Lease lease)
    {
        foreach (var places in lease.Places.GroupBy(p => p.Node))
        {
            if (!_nodes.TryGetValue(places.Key, out var entry)) continue;
            var occupied = entry.Node.Occupied.Union(places.Select(p => new OccupiedRank(lease.Run, p.Rank)));
            _nodes[places.Key] = entry with { Node = entry.Node with { Occupied = [.. occupied] } };
        }
    }

    public void ForgetLongLost()
    {
        foreach (var (name, _) in _nodes.Where(n => time.GetElapsedTime(n.Value.HeardAt) > SilenceUntilForgotten).ToList())
            _nodes.Remove(name);
    }

    /// <returns>Why the silo that a rank was leased on is lost, or null if it is not.</returns>
    public string? LossOf(RankPlace place)
    {
        var known = _nodes.TryGetValue(place.Node, out var entry);
        if (known && entry.Node.Silo != place.Silo) return $"node {place.Node} was lost: its silo was restarted";
        if (!isAlive(place.Silo)) return $"node {place.Node} was lost: its silo is gone";
        var silence = time.GetElapsedTime(known ? entry.HeardAt : _openedAt);
        return silence > SilenceUntilLost ? $"node {place.Node} was lost: it has been silent for {silence.TotalSeconds:0} s" : null;
    }

    public IReadOnlyList<NodeInfo> All(GangQueue queue) => [.. _nodes.Values.Select(n => Complete(n.Node, n.HeardAt, queue))];

    /// <summary>The nodes that take runs.</summary>
    public IReadOnlyList<NodeCapacity> Capacities(GangQueue queue) =>
        [.. All(queue).Where(n => n.State == NodeState.Ready).Select(n => new NodeCapacity(n.Node, n.Silo, n.Device, n.Ranks, n.Free))];

    private NodeInfo Complete(NodeInfo node, long heardAt, GangQueue queue)
    {
        var leases = queue.LeasesOn(node.Node);
        var taken = leases.SelectMany(l => l.Ranks.Select(rank => new OccupiedRank(l.Run, rank))).Union(node.Occupied).Count();
        var lost = time.GetElapsedTime(heardAt) > SilenceUntilLost || !isAlive(node.Silo);
        return node with
        {
            State = lost ? NodeState.Lost : node.State,
            LeasedTo = [.. leases.Select(l => l.Run)],
            Free = lost ? 0 : Math.Max(0, node.Ranks - taken),
        };
    }
}
