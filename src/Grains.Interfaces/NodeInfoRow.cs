using System.ComponentModel;

namespace Phi3VCluster.Grains.Interfaces;

/// <summary>A node as machines see it, by the CLI's <c>--json</c> and by the HTTP API alike (snake_case of these names).</summary>
public sealed record NodeInfoRow(
    string Node,
    [property: Description("Address of its silo: another one after each restart.")] string Silo,
    int ProcessId,
    [property: Description("ready, draining, stopping or lost.")] string State,
    [property: Description("Most that it runs at a time.")] int Ranks,
    [property: Description("Ranks that nobody leases and nobody occupies.")] int Free,
    [property: Description("The runs that lease ranks here.")] IReadOnlyList<string> LeasedTo,
    [property: Description("cpu, or cuda and the card's name; none on a node without ranks.")] string Device)
{
    public static NodeInfoRow Of(NodeInfo n) =>
        new(n.Node, n.Silo, n.ProcessId, n.State.ToString().ToLowerInvariant(), n.Ranks, n.Free, n.LeasedTo, n.Device);
}
