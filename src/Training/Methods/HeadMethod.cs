using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>
/// Trains the final norm and the head alone: what the recipe's frozen-vision runs did in truth, as docs/numerics.md shows.
/// </summary>
internal sealed class HeadMethod : ITrainingMethod
{
    public string Name => "head";

    public TrainingPlan Plan(IReadOnlyList<TensorInfo> weights, MethodSpec spec) =>
        WeightPlan.Of(weights, weight => WeightRules.PartOf(weight.Name) == ModelPart.Head, Name, spec);
}
