using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;

namespace Phi3VCluster.Client.Commands;

internal sealed class ForgetCommand() : RunVerb(
    "forget", "Take an ended run out of the list; its folder of results stays.", "phi3v forget quickstart-1")
{
    protected override async Task<int> AskAsync(
        ClusterConnection cluster, string run, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var problems = await cluster.ForgetAsync(run);
        if (problems.Count > 0) return output.Fail(ExitCode.BadInput, [.. problems]);
        output.Result(new { Run = run, Forgotten = true }, to => to.Line($"{run} is forgotten; its folder of results stays."));
        return ExitCode.Done;
    }
}
