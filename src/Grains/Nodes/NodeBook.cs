using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Queue;

namespace Phi3VCluster.Grains.Nodes;

/// <summary>The nodes that sent a heartbeat, and when. Not stored: the next heartbeats tell it all again.</summary>
internal sealed class NodeBook(Func<string, bool> isAlive, TimeProvider time)
{
    public static readonly TimeSpan SilenceUntilLost = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan SilenceUntilForgotten = TimeSpan.FromMinutes(10);

    private readonly SortedDictionary<string, (NodeInfo Node, long HeardAt)> _nodes = new(StringComparer.Ordinal);
    private readonly long _openedAt = time.GetTimestamp();

    public void Hear(NodeInfo node) => _nodes[node.Node] = (node, time.GetTimestamp());

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
        var lost = time.GetElapsedTime(heardAt) > SilenceUntilLost || !isAlive(node.Silo);
        return node with
        {
            State = lost ? NodeState.Lost : node.State,
            LeasedTo = [.. leases.Select(l => l.Run)],
            Free = lost ? 0 : Math.Max(0, node.Ranks - leases.Sum(l => l.Ranks)),
        };
    }
}
