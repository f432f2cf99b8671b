using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

internal sealed class StatusCommand() : RunVerb("status", "Where one run is.", "phi3v status quickstart-1 --json", readsFolders: true)
{
    protected override async Task<int> AskAsync(
        ClusterConnection cluster, string run, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var status = await cluster.StatusAsync(run);
        output.Result(RunRow.Of(status), to => RunSummary.Show(to, status));
        return ExitCode.Done;
    }

    protected override int FromRecord(RunStatus known, Output output)
    {
        output.Result(RunRow.Of(known), to => RunSummary.Show(to, known));
        return ExitCode.Done;
    }
}
