using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

internal sealed class CancelCommand() : RunVerb("cancel", "End a run, wherever it is.", "phi3v cancel quickstart-1")
{
    protected override async Task<int> AskAsync(
        ClusterConnection cluster, string run, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var status = await cluster.CancelAsync(run);
        output.Result(RunRow.Of(status),
            _ => output.Line(status.IsFinal ? $"{run} is {Words.Of(status.State)}." : $"{run} is being cancelled."));
        return ExitCode.Done;
    }
}
