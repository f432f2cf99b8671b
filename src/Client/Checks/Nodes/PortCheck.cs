using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Checks.Nodes;

/// <summary>One node's way to another's ranks.</summary>
/// <param name="Host">The address that the other one's ranks give.</param>
internal sealed record PortPair(string From, string To, string Host, ReachReport Reach);

/// <summary>Whether nodes with ranks reach each other where ranks listen: by the same sockets, handshake and certificates.</summary>
internal static class PortCheck
{
    /// <summary>Up to so many nodes every one goes to every other; beyond, to the next one and to a few at random.</summary>
    public const int MostForAll = 32;

    private const int OthersBeyond = 8, MostNamed = 6;

    /// <returns>Null where there are no two that answer.</returns>
    public static async Task<CheckRow?> RunAsync(IReadOnlyList<NodeCalls> nodes, CancellationToken interrupted)
    {
        nodes = [.. nodes.Where(node => node.Silence is null)];
        if (nodes.Count < 2) return null;
        var steps = Steps(nodes.Count, Random.Shared);
        var doors = await Task.WhenAll(nodes.Select(node => node.AskAsync(grain => grain.OpenAsync(steps.Count), interrupted)));
        var went = await Task.WhenAll(nodes.Select((_, from) => GoAsync(from)));
        var closed = nodes.Zip(doors).Where(d => d.Second?.Problem is not null).Select(d => (d.First.Name, d.Second!.Problem!));
        PortPair[] tried = [.. went.SelectMany(pairs => pairs)];
        return tried.Length == 0 && !closed.Any() ? null : Row(nodes.Count, tried, [.. closed]); // null: rows of their own say why

        async Task<IReadOnlyList<PortPair>> GoAsync(int from)
        {
            var targets = steps.Select((step, door) => (Node: (from + step) % nodes.Count, Door: door))
                .Where(to => doors[to.Node] is { Problem: null })
                .Select(to => (nodes[to.Node].Name, Door: doors[to.Node]!.Addresses[to.Door])).ToArray();
            var reached = await nodes[from].AskAsync(grain => grain.ReachAsync([.. targets.Select(to => to.Door)]), interrupted) ?? [];
            return [.. targets.Zip(reached, (to, reach) => new PortPair(nodes[from].Name, to.Name, new Uri(to.Door).Host, reach))];
        }
    }

    /// <summary>How far each node goes along the circle of all: to everybody, or to the next and to others as many places on.</summary>
    public static IReadOnlyList<int> Steps(int nodes, Random random)
    {
        if (nodes <= MostForAll) return [.. Enumerable.Range(1, nodes - 1)];
        int[] further = [.. Enumerable.Range(2, nodes - 2)];
        random.Shuffle(further);
        return [1, .. further.Take(OthersBeyond - 1)];
    }

    /// <param name="nodes">How many have ranks.</param>
    /// <param name="tried">Those that there is an answer of.</param>
    /// <param name="closed">Nodes that could not listen, and why.</param>
    public static CheckRow Row(int nodes, IReadOnlyList<PortPair> tried, IReadOnlyList<(string Node, string Problem)> closed)
    {
        PortPair[] bad = [.. tried.Where(pair => pair.Reach.Outcome != ReportedReachOutcome.Reached)];
        var all = nodes * (nodes - 1);
        var count = tried.Count == all ? $"all {all} pairs" : $"{tried.Count} of {all} pairs";
        string[] problems =
        [
            .. closed.Select(node => $"{node.Node} does not listen: {node.Problem}"),
            .. bad.Select(pair => $"{pair.From} → {pair.To} ({pair.Host}): {Why(pair.Reach)}"),
        ];
        if (problems.Length == 0)
            return new("nodes' ports", true, $"{count} reach each other where ranks listen"
                + (nodes > MostForAll ? $": each node's next and {OthersBeyond - 1} others at random" : ""));
        return new("nodes' ports", false, $"{ByNode.Some(problems, MostNamed, "; ")}; {Advice(bad)}");
    }

    private static string Why(ReachReport reach) => reach.Outcome switch
    {
        ReportedReachOutcome.Refused => "refused",
        ReportedReachOutcome.NoRoute => "no route",
        ReportedReachOutcome.TimedOut => "timed out",
        ReportedReachOutcome.NotTrusted => $"certificate refused: {reach.Detail}",
        _ => reach.Detail,
    };

    private static string Advice(PortPair[] bad) => bad.Length > 0 && bad.All(pair => pair.Reach.Outcome == ReportedReachOutcome.NotTrusted)
        ? "give all silos certificates of one authority that are in their time"
        : "ranks take any free port: let all TCP ports through between the nodes, and have each silo --advertise its machine's own address";
}
