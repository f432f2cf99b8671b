using System.Diagnostics;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

/// <summary>Has a node do a job and stays until it is done.</summary>
internal static class JobSession
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60); // a node that computes with all its cores answers late
    private static readonly TimeSpan CancelPatience = TimeSpan.FromSeconds(5);

    /// <typeparam name="TResult">What the job's kind results in.</typeparam>
    /// <exception cref="InputException">All that is wrong with the values, and with the files where they are seen.</exception>
    public static async Task<TResult> RunAsync<TResult>(
        ModelJob job, ClusterAddress? address, Output output, CancellationToken interrupted) =>
        (await RunAllAsync<TResult>([job], address, output, interrupted))[0];

    /// <summary>As <see cref="RunAsync"/>, one after the other on the same cluster or local silo.</summary>
    public static async Task<IReadOnlyList<TResult>> RunAllAsync<TResult>(
        IReadOnlyList<ModelJob> jobs, ClusterAddress? address, Output output, CancellationToken interrupted)
    {
        var isHere = address is null or { IsThisMachine: true };
        if (isHere) jobs = [.. jobs.Select(TrainedFolders.Resolve)];
        var files = isHere ? jobs.SelectMany(ModelJobValidation.FileProblems) : [];
        var problems = (string[])[.. jobs.SelectMany(ModelJobValidation.Problems), .. files];
        if (problems.Length > 0) throw new InputException(problems);
        return await ClusterSession.UseAsync<IReadOnlyList<TResult>>(address, new(Ranks: 1, Memory: MachineMemory.Of(jobs[0])), Output.Note,
            async (cluster, silo, alive) =>
            {
                var results = new List<TResult>();
                foreach (var job in jobs) results.Add(await RunOnANodeAsync<TResult>(cluster, silo, job, output, alive));
                foreach (var note in results.OfType<JobResult>().SelectMany(result => result.Notes)) Output.Note($"phi3v: note: {note}");
                return results;
            }, interrupted);
    }

    private static async Task<TResult> RunOnANodeAsync<TResult>(
        ClusterConnection cluster, LocalSilo? localSilo, ModelJob job, Output output, CancellationToken interrupted)
    {
        var node = NodeFor(job, await cluster.NodesAsync());
        var id = Guid.NewGuid();
        await cluster.StartJobAsync(id, node, job);
        try
        {
            return Result<TResult>(await FollowAsync(cluster, localSilo, id, node, output, interrupted), node);
        }
        catch (OperationCanceledException)
        {
            if (localSilo?.HasEnded != true) await CancelAsync(cluster, id, node);
            throw;
        }
    }

    /// <summary>Whoever asks a model computes like a rank; data and files can be looked at beside a run.</summary>
    private static string NodeFor(ModelJob job, IReadOnlyList<NodeInfo> nodes)
    {
        var ready = nodes.Where(n => n is { State: NodeState.Ready, Ranks: > 0 }).ToList();
        return ready.Where(n => n.Free > 0 || job is InspectJob or MergeJob or ExportJob).MaxBy(n => n.Free)?.Node
            ?? throw new CommandFailedException(
                $"no node has a free rank: {Words.Ranks(ready.Sum(n => n.Ranks))}, all leased to "
                + $"{string.Join(", ", ready.SelectMany(n => n.LeasedTo).Distinct())}; wait for a run to end, see `phi3v runs`, "
                + $"or give --cluster {ClusterAddress.Local} for a silo beside them.");
    }

    private static async Task<ModelJobStatus> FollowAsync(
        ClusterConnection cluster, LocalSilo? localSilo, Guid id, string node, Output output, CancellationToken interrupted)
    {
        var sinceAnswer = Stopwatch.StartNew();
        using var follower = new JobFollower(output);
        while (true)
        {
            try
            {
                var status = await cluster.JobStatusAsync(id, node).WaitAsync(interrupted);
                sinceAnswer.Restart();
                if (status.State != ModelJobState.Running) return status;
                follower.Show(status);
            }
            catch (NoClusterException) when (sinceAnswer.Elapsed < Patience && localSilo?.HasEnded != true)
            {
                // One lost answer is no lost node.
            }
            await Task.Delay(Poll, interrupted);
        }
    }

    private static TResult Result<TResult>(ModelJobStatus status, string node) => status.State switch
    {
        ModelJobState.Done => ModelJobJson.FromText<TResult>(status.ResultJson!),
        ModelJobState.Refused => throw new InputException(status.Problems),
        ModelJobState.Lost => throw new CommandFailedException($"node {node} was restarted and knows nothing of the job; start it again."),
        ModelJobState.Cancelled => throw new CommandFailedException($"the job was cancelled on node {node}, which stops; start it again."),
        _ => throw new CommandFailedException($"the job failed on node {node}: {status.Error}"),
    };

    /// <summary>Nobody waits for the job any more: its node must not go on with it.</summary>
    private static async Task CancelAsync(ClusterConnection cluster, Guid id, string node)
    {
        try
        {
            await cluster.CancelJobAsync(id, node).WaitAsync(CancelPatience);
        }
        catch (Exception error) when (error is TimeoutException or NoClusterException)
        {
            // The node drops a job that nobody asks about.
        }
    }
}
