using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>
/// Adapters beside frozen weights (Dettmers et al., 2023), of which the decoder's linear maps are kept in 4 bits; tower, projector and
/// head stay in the model's type.
/// </summary>
internal sealed class QloraMethod : ITrainingMethod
{
    public string Name => "qlora";

    public TrainingPlan Plan(IReadOnlyList<TensorInfo> weights, MethodSpec spec) => AdapterPlan.Of(weights, spec) with
    {
        InFourBits = weights.Where(weight => WeightRules.IsAdapted(weight) && WeightRules.PartOf(weight.Name) == ModelPart.Decoder)
            .Select(weight => weight.Name).ToHashSet(),
    };
}
