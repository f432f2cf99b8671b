using Orleans.Concurrency;

namespace Phi3VCluster.Grains.Interfaces;

/// <summary>The cluster as a whole: its nodes, the queue of runs, and who leases which ranks. There is one, of key "cluster".</summary>
[Alias("phi3v.IClusterGrain")]
public interface IClusterGrain : IGrainWithStringKey
{
    /// <summary>Queues a run. Problems of the spec are in the reply, all at once, and then nothing was queued.</summary>
    [Alias("Submit"), AlwaysInterleave] // it tells the run's grain, and must not hold up heartbeats meanwhile
    Task<SubmitReply> SubmitAsync(SubmitRequest request);

    /// <summary>The part of <see cref="SubmitAsync"/> that changes the queue, in a turn of its own. Idempotent.</summary>
    [Alias("Enqueue")]
    Task EnqueueAsync(QueuedRun run);

    /// <summary>All runs, newest first.</summary>
    [Alias("Runs"), AlwaysInterleave] // it waits for the runs' answers, and must not hold up heartbeats meanwhile
    Task<IReadOnlyList<RunStatus>> RunsAsync();

    /// <summary>The ids of the runs that wait, the next one first.</summary>
    [Alias("Waiting")]
    Task<IReadOnlyList<string>> WaitingAsync();

    /// <summary>The nodes that are in the cluster, by name.</summary>
    [Alias("Nodes")]
    Task<IReadOnlyList<NodeInfo>> NodesAsync();

    /// <summary>A node's heartbeat, every two seconds. A node that is long silent, or was declared dead, is lost with its ranks.</summary>
    [Alias("RegisterNode")]
    Task RegisterNodeAsync(NodeInfo node);

    /// <summary>
    /// Queues a run that failed or was cancelled again, or one that this cluster does not know. Refusals are in the reply.
    /// </summary>
    [Alias("Resume"), AlwaysInterleave] // as Submit
    Task<SubmitReply> ResumeAsync(ResumeRequest request);

    /// <summary>Empties a node: it gets no runs, and those it has leave it at their next boundary.</summary>
    /// <returns>Why it cannot be; empty if it is done.</returns>
    [Alias("Drain")]
    Task<IReadOnlyList<string>> DrainAsync(string node);

    /// <summary>Takes that back.</summary>
    /// <returns>Why it cannot be; empty if it is done.</returns>
    [Alias("Undrain")]
    Task<IReadOnlyList<string>> UndrainAsync(string node);

    /// <summary>Takes a run that has ended out of the list, with all that the cluster stores of it. Its folder of results stays.</summary>
    /// <returns>Why it cannot be; empty if it is done.</returns>
    [Alias("Forget")]
    Task<IReadOnlyList<string>> ForgetAsync(string run);

    /// <summary>A run's grain says that the run has ended and its seats are free. Idempotent.</summary>
    [Alias("Release")]
    Task ReleaseAsync(RunStatus final);

    /// <summary>What a run gives back and wants, taken in in a turn of its own.</summary>
    /// <returns>Whether it got more seats.</returns>
    [Alias("Adjust")]
    Task<bool> AdjustAsync(string run, int life, RunNeeds needs);
}
