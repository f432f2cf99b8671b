using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Queue;

namespace Phi3VCluster.Grains.Nodes;

/// <summary>
/// The nodes that sent a heartbeat, and when. Not stored: the next heartbeats tell it all again. It is looked into each second, so that a
/// gap means that its own silo stood still (frozen, or starved on a busy machine): that time counts as nobody's silence. The cluster may
/// have moved to another silo meanwhile, and what this one then said of its nodes would break runs that are well.
/// </summary>
/// <param name="isAlive">Whether a silo, by its address, is in the cluster.</param>
/// <param name="active">The silos that should have sent one.</param>
internal sealed class NodeBook(Func<string, bool> isAlive, Func<IEnumerable<string>> active, TimeProvider time)
{
    /// <summary>Two heartbeats' time: who was not heard by then is not waited for.</summary>
    private static readonly TimeSpan PatienceForAll = TimeSpan.FromSeconds(4);

    public static readonly TimeSpan SilenceUntilLost = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan SilenceUntilForgotten = TimeSpan.FromMinutes(10);

    private static readonly TimeSpan OwnPause = TimeSpan.FromSeconds(3);

    private readonly SortedDictionary<string, (NodeInfo Node, long HeardAt)> _nodes = new(StringComparer.Ordinal);
    private long _openedAt = time.GetTimestamp(), _lookedAt = time.GetTimestamp();

    /// <summary>
    /// Whether all nodes have been heard since the book was opened: a gang that is leased before has fewer ranks than there are, for as
    /// long as it runs.
    /// </summary>
    public bool IsComplete =>
        time.GetElapsedTime(_openedAt) > PatienceForAll || active().All(silo => _nodes.Values.Any(n => n.Node.Silo == silo));

    /// <summary>A heartbeat may be late, and of a silo that the node's present one has followed: it says nothing any more.</summary>
    public void Hear(NodeInfo node)
    {
        if (_nodes.TryGetValue(node.Node, out var known) && known.Node.StartedAt > node.StartedAt) return;
        _nodes[node.Node] = (node, time.GetTimestamp());
    }

    /// <summary>Seats were given back: they are in their places until their nodes' next heartbeats say that they are not.</summary>
    public void Occupy(string run, IEnumerable<SeatPlace> given)
    {
        foreach (var places in given.GroupBy(p => (p.Node, p.Silo)))
        {
            if (!_nodes.TryGetValue(places.Key.Node, out var entry) || entry.Node.Silo != places.Key.Silo) continue;
            var occupied = entry.Node.Occupied.Union(places.Select(p => new OccupiedSeat(run, p.Seat)));
            _nodes[places.Key.Node] = entry with { Node = entry.Node with { Occupied = [.. occupied] } };
        }
    }

    /// <summary>Part of the tick.</summary>
    public void ForgetLongLost()
    {
        Look();
        foreach (var (name, _) in _nodes.Where(n => time.GetElapsedTime(n.Value.HeardAt) > SilenceUntilForgotten).ToList())
            _nodes.Remove(name);
    }

    /// <returns>Why the silo that a seat was leased on is lost, or null if it is not.</returns>
    public string? LossOf(SeatPlace place)
    {
        Look();
        var known = _nodes.TryGetValue(place.Node, out var entry);
        if (known && entry.Node.Silo != place.Silo) return $"{place.Node} was lost: its silo was restarted";
        if (!isAlive(place.Silo)) return $"{place.Node} was lost: its silo is gone";
        var silence = time.GetElapsedTime(known ? entry.HeardAt : _openedAt);
        return silence > SilenceUntilLost ? $"{place.Node} was lost: it has been silent for {silence.TotalSeconds:0} s" : null;
    }

    /// <param name="draining">Nodes that somebody asked to be emptied.</param>
    public IReadOnlyList<NodeInfo> All(LeaseBook leases, IReadOnlySet<string> draining)
    {
        Look();
        return [.. _nodes.Values.Select(n => Complete(n.Node, n.HeardAt, leases, draining))];
    }

    /// <summary>The nodes that take runs.</summary>
    public IReadOnlyList<NodeCapacity> Capacities(LeaseBook leases, IReadOnlySet<string> draining) =>
        [.. All(leases, draining).Where(n => n.State == NodeState.Ready)
            .Select(n => new NodeCapacity(n.Node, n.Silo, n.Device, n.Ranks, n.Free))];

    private void Look()
    {
        var now = time.GetTimestamp();
        var gap = now - _lookedAt;
        _lookedAt = now;
        if (time.GetElapsedTime(0, gap) < OwnPause) return;
        _openedAt += gap;
        foreach (var (name, entry) in _nodes.ToList()) _nodes[name] = entry with { HeardAt = Math.Min(now, entry.HeardAt + gap) };
    }

    private NodeInfo Complete(NodeInfo node, long heardAt, LeaseBook book, IReadOnlySet<string> draining)
    {
        var leases = book.On(node.Silo);
        var taken = leases.SelectMany(l => l.Seats.Select(seat => new OccupiedSeat(l.Run, seat))).Union(node.Occupied).Count();
        var lost = time.GetElapsedTime(heardAt) > SilenceUntilLost || !isAlive(node.Silo);
        return node with
        {
            State = lost ? NodeState.Lost : node.State == NodeState.Ready && draining.Contains(node.Node) ? NodeState.Draining : node.State,
            LeasedTo = [.. leases.Select(l => l.Run)],
            Free = lost ? 0 : Math.Max(0, node.Ranks - taken),
        };
    }
}
