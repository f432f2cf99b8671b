using System.Globalization;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>
/// Low-rank adapters (Hu et al., 2021): y = W·x + alpha/rank · B·A·x with W frozen, A [rank, in] normal with deviation 1/rank,
/// B [out, rank] zero.
/// </summary>
internal sealed class LoraMethod : ITrainingMethod
{
    public string Name => "lora";

    public TrainingPlan Plan(IReadOnlyList<TensorInfo> weights, MethodSpec spec)
    {
        var alpha = spec.Alpha ?? 2.0 * spec.Rank;
        bool IsFrozen(TensorInfo weight) => spec.FreezeVision && WeightNames.IsVision(weight.Name);
        var targets = weights.Where(weight => WeightNames.IsAdapted(weight) && !IsFrozen(weight)).ToList();
        var problems = Problems(spec, alpha, targets.Count).ToList();
        if (problems.Count > 0) throw new InputException(problems);
        return new([.. targets.SelectMany(weight => Adapter(weight, spec.Rank))], alpha / spec.Rank);
    }

    private static IEnumerable<string> Problems(MethodSpec spec, double alpha, int targets)
    {
        if (spec.Rank < 1) yield return $"method.rank: must be at least 1, got {spec.Rank}; common ranks are 8 to 64.";
        if ((spec.Alpha is not null && !(alpha > 0)) || !double.IsFinite(alpha))
        {
            var got = alpha.ToString(CultureInfo.InvariantCulture);
            yield return $"method.alpha: must be above 0, got {got}; leave it out for twice the rank.";
        }
        if (targets == 0) yield return "method.kind: lora adapts linear layers and this model lists none, got 0; check model.path.";
    }

    private static IEnumerable<TrainedTensor> Adapter(TensorInfo weight, int rank)
    {
        var module = WeightNames.ModuleOf(weight.Name);
        var (outputs, inputs) = (weight.Shape[0], weight.Shape[1]);
        var a = new TensorInfo($"{module}.lora_A.weight", [rank, inputs]);
        var b = new TensorInfo($"{module}.lora_B.weight", [outputs, rank]);
        yield return new(a, TrainedRole.AdapterA, module, Decays: true, InitialDeviation: 1.0 / rank);
        yield return new(b, TrainedRole.AdapterB, module, Decays: true, InitialDeviation: 0);
    }
}
