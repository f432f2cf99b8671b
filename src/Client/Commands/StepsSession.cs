using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

/// <summary>Has a run train as far as a step, and ends it there.</summary>
internal static class StepsSession
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);

    /// <exception cref="CommandFailedException">It ended before.</exception>
    public static Task RunAsync(RunRequest request, long until, ClusterAddress? address, Output output, CancellationToken interrupted) =>
        ClusterSession.UseAsync(
            address, new(RunSession.LocalRanks(request.Spec.Cluster), Memory: MachineMemory.Of(request.Spec, 1)), output.Line,
            async (cluster, _, alive) =>
            {
                var run = (await request.SubmitAsync(cluster)).RunId;
                var told = "";
                try
                {
                    for (var status = await cluster.StatusAsync(run); status.Step < until; status = await cluster.StatusAsync(run))
                    {
                        if (status.IsFinal)
                            throw new CommandFailedException($"{run} {status.State.ToString().ToLowerInvariant()}: {status.Error}");
                        if (status.State == RunState.Queued && status.WaitingFor is { } wait && wait != told)
                            output.Line($"waits for {told = wait}");
                        await Task.Delay(Poll, alive);
                    }
                }
                finally
                {
                    await EndAsync(cluster, run, alive);
                }
                return true;
            }, interrupted);

    private static async Task EndAsync(ClusterConnection cluster, string run, CancellationToken alive)
    {
        RunStatus status;
        for (status = await cluster.CancelAsync(run); !status.IsFinal; status = await cluster.StatusAsync(run))
            await Task.Delay(Poll, alive);
    }
}
