using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>Plans that train weights of the model itself.</summary>
internal static class WeightPlan
{
    /// <exception cref="InputException">Settings that only adapters have; all of them.</exception>
    public static TrainingPlan Of(IReadOnlyList<TensorInfo> weights, Predicate<TensorInfo> isTrained, string method, MethodSpec spec)
    {
        (string Key, bool IsGiven, string Got)[] settings =
        [
            ("adapter", spec.Adapter is not null, spec.Adapter ?? ""),
            ("targets", spec.Targets is not null, string.Join(", ", spec.Targets ?? [])),
            ("dropout", spec.Dropout != 0, FormattableString.Invariant($"{spec.Dropout}")),
            ("dora", spec.Dora, "true"),
            ("doubleQuantization", spec.DoubleQuantization, "true"),
        ];
        var problems = settings.Where(setting => setting.IsGiven)
            .Select(setting =>
                $"method.{setting.Key}: {method} trains weights and no adapters, got {setting.Got}; leave it out, or use lora.").ToList();
        if (problems.Count > 0) throw new InputException(problems);
        return new([.. weights.Where(weight => isTrained(weight)).Select(Trained)], AdapterScale: 1);
    }

    private static TrainedTensor Trained(TensorInfo weight) =>
        new(weight, TrainedRole.Weight, WeightRules.ModuleOf(weight.Name), WeightRules.Decays(weight.Name), InitialDeviation: 0);
}
