using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Optim;

namespace Phi3VCluster.Training.Engine;

/// <summary>Holds the names a spec chooses by against what this build has.</summary>
public static class RunSpecNames
{
    public static IReadOnlyList<string> Problems(RunSpec spec) =>
    [
        .. Unknown<ITrainingMethod>(spec.Method.Kind, "method.kind"),
        .. Unknown<IDataset>(spec.Data.Kind, "data.kind"),
        .. spec.Data.EvalKind is { } evalKind ? Unknown<IDataset>(evalKind, "data.evalKind") : [],
        .. Unknown<ILearningRateSchedule>(spec.Optimizer.Schedule, "optimizer.schedule"),
        .. Unknown<IMetric>(spec.Evaluation.Metric, "evaluation.metric", EvaluationSpec.Loss),
        .. Unknown<ICollectiveBackend>(spec.Cluster.Collective, "cluster.collective", "auto"),
    ];

    /// <param name="others">Names that stand for none of the catalogue.</param>
    private static IEnumerable<string> Unknown<T>(string name, string path, params string[] others) where T : class, INamed
    {
        string[] known = [.. others, .. Catalog<T>.All.Select(one => one.Name)];
        return known.Contains(name) ? [] : [$"{path}: unknown, got {name}; choose one of {string.Join(", ", known)}."];
    }
}
