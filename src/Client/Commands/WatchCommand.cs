using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

internal sealed class WatchCommand()
    : RunVerb("watch", "Follow a run to its end; the exit code says how it ended.", "phi3v watch quickstart-1")
{
    protected override bool EndsWithReader => true;

    protected override async Task<int> AskAsync(
        ClusterConnection cluster, string run, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var follower = new RunFollower(cluster, output);
        try
        {
            var ended = await follower.FollowAsync(run, () => false, interrupted);
            output.Result(RunRow.Of(ended), to => RunSummary.Show(to, ended, follower.Phase));
            return RunSummary.ExitCodeOf(ended);
        }
        catch (OperationCanceledException)
        {
            output.Error(RunSession.GoesOn(run));
            throw;
        }
    }
}
