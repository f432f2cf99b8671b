using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;
using Spectre.Console;

namespace Phi3VCluster.Client.Commands;

internal sealed class NodesCommand()
    : ClusterVerb("nodes", "The cluster's nodes and who leases their ranks.", "phi3v nodes --cluster 127.0.0.1:30000")
{
    protected override async Task<int> AskAsync(ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var nodes = await cluster.NodesAsync();
        output.Result(
            nodes.Select(n => new { n.Node, n.Silo, n.ProcessId, State = Words.Of(n.State), n.Ranks, n.Free, n.LeasedTo, n.Device })
                .ToArray(),
            to => Show(to.Screen, nodes));
        return ExitCode.Done;
    }

    private static void Show(IAnsiConsole screen, IReadOnlyList<NodeInfo> nodes)
    {
        var table = new Table().AddColumns("node", "silo", "process", "state", "ranks", "free", "leased to", "device");
        foreach (var n in nodes)
            table.AddRow(((string[])
                [n.Node, n.Silo, $"{n.ProcessId}", Words.Of(n.State), $"{n.Ranks}", $"{n.Free}", string.Join(", ", n.LeasedTo), n.Device])
                .Select(Markup.Escape).ToArray());
        screen.Write(table);
    }
}
