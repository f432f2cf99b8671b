using System.Globalization;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Methods;

/// <summary>
/// Low-rank adapters (Hu et al., 2021): y = W·x + alpha/rank · B·A·x with W frozen, A [rank, in] normal with deviation 1/rank,
/// B [out, rank] zero; with <c>dora</c> a trained length for every row of the sum (Liu et al., 2024).
/// </summary>
internal static class AdapterPlan
{
    /// <exception cref="InputException">
    /// Settings that make no adapters, or a target that names no linear map; all problems at once.
    /// </exception>
    public static TrainingPlan Of(IReadOnlyList<TensorInfo> weights, MethodSpec spec)
    {
        var alpha = spec.Alpha ?? 2.0 * spec.Rank;
        var maps = weights
            .Where(weight => WeightRules.IsAdapted(weight) && !(spec.FreezeVision && WeightRules.IsVision(weight.Name))).ToList();
        var problems = Problems(spec, alpha, maps).ToList();
        if (problems.Count > 0) throw new InputException(problems);
        var adapted = maps.Where(map => spec.Targets?.Any(target => IsNamedBy(map, target)) ?? true);
        return new([.. adapted.SelectMany(weight => Adapter(weight, spec))], alpha / spec.Rank);
    }

    private static IEnumerable<string> Problems(MethodSpec spec, double alpha, List<TensorInfo> maps)
    {
        if (spec.Rank < 1) yield return $"method.rank: must be at least 1, got {spec.Rank}; common ranks are 8 to 64.";
        if ((spec.Alpha is not null && !(alpha > 0)) || !double.IsFinite(alpha))
        {
            var got = alpha.ToString(CultureInfo.InvariantCulture);
            yield return $"method.alpha: must be above 0, got {got}; leave it out for twice the rank.";
        }
        if (maps.Count == 0)
            yield return $"method.kind: {spec.Kind} adapts linear layers and this model lists none, got 0; check model.path.";
        foreach (var target in spec.Targets?.Where(target => !maps.Any(map => IsNamedBy(map, target))) ?? [])
        {
            var known = maps.Select(map => ShortName(map.Name)).Distinct();
            var frozen = spec.FreezeVision ? " outside the frozen vision model" : "";
            yield return $"method.targets: matches no linear layer{frozen}, got {target}; choose some of {string.Join(", ", known)}.";
        }
    }

    /// <summary>PEFT's rule: the whole name, or its end after a dot.</summary>
    private static bool IsNamedBy(TensorInfo map, string target) =>
        WeightRules.ModuleOf(map.Name) is var module && (module == target || module.EndsWith("." + target, StringComparison.Ordinal));

    private static string ShortName(string weight)
    {
        var parts = WeightRules.ModuleOf(weight).Split('.');
        return int.TryParse(parts[^1], out _) ? $"{parts[^2]}.{parts[^1]}" : parts[^1];
    }

    private static IEnumerable<TrainedTensor> Adapter(TensorInfo weight, MethodSpec spec)
    {
        var module = WeightRules.ModuleOf(weight.Name);
        var (outputs, inputs) = (weight.Shape[0], weight.Shape[1]);
        yield return Part("lora_A.weight", TrainedRole.AdapterA, [spec.Rank, inputs], initialDeviation: 1.0 / spec.Rank);
        yield return Part("lora_B.weight", TrainedRole.AdapterB, [outputs, spec.Rank]);
        if (spec.Dora) yield return Part("lora_magnitude_vector", TrainedRole.AdapterMagnitude, [outputs]);

        TrainedTensor Part(string name, TrainedRole role, long[] shape, double initialDeviation = 0) =>
            new(new($"{module}.{name}", shape), role, module, Decays: true, initialDeviation);
    }
}
