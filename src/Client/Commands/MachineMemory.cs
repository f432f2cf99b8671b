using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Client.Commands;

/// <summary>This machine's memory beside what work on it needs.</summary>
internal static class MachineMemory
{
    /// <summary>All that a process may use: the machine's, or the container's.</summary>
    public static long Bytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>What a run needs here and the machine has; null where the model's sizes are not known.</summary>
    public static string? Of(RunSpec spec, int ranks)
    {
        if (ModelSizes.Read(spec.Model.Path) is not { } model) return null;
        var need = MemoryEstimate.Of(spec, ranks, model);
        return Sentence("the run", (need.Certain + need.Activations + need.Workspace) * ranks);
    }

    /// <inheritdoc cref="Of(RunSpec, int)"/>
    public static string? Of(ModelJob job) =>
        job is not (MergeJob or InspectJob or MeasureJob or BenchJob) && ModelSizes.Read(job.Model) is { } model
            ? Sentence("the model", 4.0 * model.Parameters) : null;

    /// <summary>Whether ranks here compute in this memory: the libtorch that comes along knows no other device.</summary>
    public static bool Counts(RunSpec spec) =>
        spec.Cluster.Device == "cpu" || string.IsNullOrEmpty(Environment.GetEnvironmentVariable("PHI3V_LIBTORCH"));

    private static string Sentence(string who, double bytes) =>
        $"{who} needs about {MachineFit.Gigabytes(bytes)}, this machine has {MachineFit.Gigabytes(Bytes)}";
}
