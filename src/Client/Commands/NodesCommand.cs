using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

internal sealed class NodesCommand : ClusterVerb
{
    public NodesCommand() : base("nodes", "The cluster's nodes and who leases their ranks.", "phi3v nodes --cluster 127.0.0.1:30000")
    {
        Subcommands.Add(new DrainCommand());
        Subcommands.Add(new UndrainCommand());
    }

    protected override async Task<int> AskAsync(ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var nodes = await cluster.NodesAsync();
        output.Result(nodes.Select(NodeInfoRow.Of).ToArray(), to => Show(to, nodes));
        return ExitCode.Done;
    }

    private static void Show(Output to, IReadOnlyList<NodeInfo> nodes) => Tables.Write(to,
        [
            new("node"), new("state"), new("ranks"), new("free"), new("leased to", 1, Folds: true), new("device", 2, Folds: true),
            new("process", 3), new("address", 4),
        ],
        nodes.Select(n => (string[])
        [
            n.Node, Words.Of(n.State), $"{n.Ranks}", $"{n.Free}", string.Join(", ", n.LeasedTo), n.Device, $"{n.ProcessId}",
            n.Silo.Split('@')[0].TrimStart('S'),
        ]));
}
