using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>Trains every weight that the forward pass uses.</summary>
internal sealed class FullMethod : ITrainingMethod
{
    public string Name => "full";

    public TrainingPlan Plan(IReadOnlyList<TensorInfo> weights, MethodSpec spec)
    {
        if (spec.FreezeVision)
            throw new InputException("method.freezeVision: full trains the vision model too, got true; "
                + "use method.kind: frozen-vision, or false.");
        return WeightPlan.Of(weights, _ => true, Name, spec);
    }
}
