using System.Diagnostics.Metrics;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;
using static Phi3VCluster.Training.Engine.MetricKind;

namespace Phi3VCluster.Grains.Queue;

/// <summary>What the cluster's grain tells Prometheus, on the silo where it is.</summary>
public static class ClusterMetrics
{
    private const int ReadingsOfAMeter = 1;

    internal static readonly MetricDefinition NodeState = new(
        "phi3v.node.state", Gauge, "", "1 for the state that the node is in: ready, stopping, draining or lost.",
        MetricLabel.Node, MetricLabel.State);
    internal static readonly MetricDefinition NodeRanks = new(
        "phi3v.node.ranks", Gauge, "",
        "Ranks of the node: free; leased to a run; leaving, which is occupied by a seat whose run has given it up; lost with the node.",
        MetricLabel.Node, MetricLabel.State);
    internal static readonly MetricDefinition QueueRuns = new("phi3v.queue.runs", Gauge, "", "Runs that wait for ranks.");
    internal static readonly MetricDefinition QueueRanks = new(
        "phi3v.queue.ranks", Gauge, "", "Ranks without which those runs do not start, all together.");

    private static readonly RenewedMeter Meter = new(Fill, ReadingsOfAMeter);
    private static volatile ClusterReading? _now;

    /// <summary>In the order of the documentation.</summary>
    public static IReadOnlyList<MetricDefinition> All { get; } = [NodeState, NodeRanks, QueueRuns, QueueRanks];

    /// <summary>The cluster's grain is here, and this is how the cluster is.</summary>
    internal static void Tell(IReadOnlyList<NodeInfo> nodes, GangQueue queue)
    {
        var isNew = _now is null;
        _now = new(
            [.. nodes.Select(node => (node, queue.Leases.On(node.Silo).Sum(run => run.Seats.Count)))],
            queue.Waiting.Count, queue.Waiting.Sum(demand => demand.MinRanks));
        if (isNew) Meter.AddOwner();
    }

    /// <summary>It is on another silo from now on.</summary>
    internal static void Forget() => _now = null;

    private static void Fill(Meter meter)
    {
        NodeState.Observe(meter, () =>
            [.. Nodes().Select(one => NodeState.Of(1, one.Node.Node, one.Node.State.ToString().ToLowerInvariant()))]);
        NodeRanks.Observe(meter, () => [.. Nodes().SelectMany(one => RanksOf(one.Node, one.Leased))]);
        QueueRuns.Observe(meter, () => _now is { } now ? [QueueRuns.Of(now.Waiting)] : []);
        QueueRanks.Observe(meter, () => _now is { } now ? [QueueRanks.Of(now.WaitingRanks)] : []);
    }

    private static IEnumerable<(NodeInfo Node, int Leased)> Nodes() => _now?.Nodes ?? [];

    private static IEnumerable<Measurement<double>> RanksOf(NodeInfo node, int leased)
    {
        var isLost = node.State == Interfaces.NodeState.Lost;
        yield return NodeRanks.Of(node.Free, node.Node, "free");
        yield return NodeRanks.Of(isLost ? 0 : leased, node.Node, "leased");
        yield return NodeRanks.Of(isLost ? 0 : Math.Max(0, node.Ranks - node.Free - leased), node.Node, "leaving");
        yield return NodeRanks.Of(isLost ? node.Ranks : 0, node.Node, "lost");
    }

    private sealed record ClusterReading(IReadOnlyList<(NodeInfo Node, int Leased)> Nodes, int Waiting, int WaitingRanks);
}
