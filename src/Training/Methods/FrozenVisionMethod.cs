using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>
/// Trains the decoder, final norm and head. The whole image embedding is frozen: tower, projector, separators and, since it is tied to
/// it, the token embedding.
/// </summary>
internal sealed class FrozenVisionMethod : ITrainingMethod
{
    public string Name => "frozen-vision";

    public TrainingPlan Plan(IReadOnlyList<TensorInfo> weights, MethodSpec spec) =>
        WeightPlan.Of(weights, weight => WeightRules.PartOf(weight.Name) is ModelPart.Decoder or ModelPart.Head, Name, spec);
}
