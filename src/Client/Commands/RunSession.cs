using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>
/// Submits a run and stays with it to its end, on the configured cluster or on a local silo that lives only that long.
/// </summary>
internal static class RunSession
{
    private static readonly TimeSpan CancelPatience = TimeSpan.FromSeconds(5);

    public static Task<RunStatus> RunAsync(RunSpec spec, ClusterAddress? address, Output output, CancellationToken interrupted) =>
        ClusterSession.UseAsync(address, LocalRanks(spec.Cluster), Path.Combine(spec.Output, "silo.log"), output.Line,
            (cluster, silo) => SubmitAndFollowAsync(cluster, spec, silo, output, interrupted), interrupted);

    /// <summary>One per core, as `up` has, as far as the run allows; a silo that has GPUs takes no more ranks than those.</summary>
    private static int LocalRanks(ClusterSpec spec) => Math.Clamp(Environment.ProcessorCount, spec.MinRanks, spec.MaxRanks);

    private static async Task<RunStatus> SubmitAndFollowAsync(
        ClusterConnection cluster, RunSpec spec, LocalSilo? localSilo, Output output, CancellationToken interrupted)
    {
        var submitted = await cluster.SubmitAsync(spec);
        output.Line($"run {submitted.RunId} → {submitted.Output}");
        try
        {
            return await new RunFollower(cluster, output).FollowAsync(submitted.RunId, () => localSilo?.HasEnded ?? false, interrupted);
        }
        catch (OperationCanceledException) when (localSilo is not null)
        {
            await CancelAsync(cluster, submitted.RunId);
            throw;
        }
        catch (OperationCanceledException)
        {
            output.Error($"the run goes on; see `phi3v watch {submitted.RunId}`, end it with `phi3v cancel {submitted.RunId}`.");
            throw;
        }
    }

    /// <summary>Lets the ranks end in order before their silo does; its end would stop them anyway.</summary>
    private static async Task CancelAsync(ClusterConnection cluster, string run)
    {
        using var patience = new CancellationTokenSource(CancelPatience);
        try
        {
            var status = await cluster.CancelAsync(run).WaitAsync(patience.Token);
            while (!status.IsFinal)
            {
                await Task.Delay(200, patience.Token);
                status = await cluster.StatusAsync(run).WaitAsync(patience.Token);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or NoClusterException)
        {
            // The silo is stopped next, with everything in it.
        }
    }
}
