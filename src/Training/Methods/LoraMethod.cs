using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>Adapters beside frozen weights.</summary>
internal sealed class LoraMethod : ITrainingMethod
{
    public string Name => "lora";

    public TrainingPlan Plan(IReadOnlyList<TensorInfo> weights, MethodSpec spec)
    {
        if (spec.DoubleQuantization)
            throw new InputException("method.doubleQuantization: lora quantises nothing, got true; use method.kind: qlora, or false.");
        return AdapterPlan.Of(weights, spec);
    }
}
