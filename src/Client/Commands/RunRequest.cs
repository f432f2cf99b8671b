using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>What a cluster is asked to train.</summary>
/// <param name="Resumed">The folder of an earlier run that goes on, under its id; null for a new run.</param>
internal sealed record RunRequest(RunSpec Spec, string? Resumed = null)
{
    /// <summary>The run's id, where it has one already.</summary>
    public string? Run => Resumed is null ? null : Path.GetFileName(Resumed);

    /// <param name="run">The id of a new run; null leaves it to the cluster.</param>
    /// <exception cref="InputException">The cluster's own checks found problems.</exception>
    public Task<SubmitReply> SubmitAsync(ClusterConnection cluster, string? run = null) => Resumed is { } folder
        ? cluster.ResumeAsync(new(Run!, RunSpecJson.ToText(Spec), folder))
        : cluster.SubmitAsync(Spec, run);
}
