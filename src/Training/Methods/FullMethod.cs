using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>Trains every weight that the forward pass uses.</summary>
internal sealed class FullMethod : ITrainingMethod
{
    public string Name => "full";

    public TrainingPlan Plan(IReadOnlyList<TensorInfo> weights, MethodSpec spec) => new(
        [.. weights.Select(weight => new TrainedTensor(
            weight, TrainedRole.Weight, WeightNames.ModuleOf(weight.Name), WeightNames.Decays(weight.Name), InitialDeviation: 0))],
        AdapterScale: 1);
}
