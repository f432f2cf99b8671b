using System.Globalization;

namespace Phi3VCluster.Spec.Planning;

/// <summary>What else could be planned: what would fit where a run does not, what would be faster where it does.</summary>
public static class PlanAdvice
{
    private const int MostNodes = 64, MostLines = 4;
    private const double WorthSaying = 1.03;

    /// <summary>A sentence each, the least change first.</summary>
    public static IReadOnlyList<string> Of(RunPlan plan, RunSpec given, ModelSizes model) =>
        [.. RanksOf(plan, given), .. plan.Fits ? Faster(plan, given, model) : Fitting(plan, given, model)];

    private static IEnumerable<string> RanksOf(RunPlan plan, RunSpec given)
    {
        if (plan.Gpus > given.Cluster.MaxRanks)
            yield return "cluster.maxRanks: the spec takes at most "
                + $"{given.Cluster.MaxRanks} rank{(given.Cluster.MaxRanks == 1 ? "" : "s")}; "
                + $"--set cluster.maxRanks={plan.Gpus} takes all.";
        if (plan.Gpus < given.Cluster.MinRanks)
            yield return $"cluster.minRanks: the spec waits for {given.Cluster.MinRanks} ranks; "
                + $"--set cluster.minRanks={plan.Gpus} starts with these.";
    }

    private static IEnumerable<string> Faster(RunPlan plan, RunSpec given, ModelSizes model)
    {
        var best = RecomputeChoice.Policies.SelectMany(policy => new[] { 1, 2, 4 }, (policy, micro) => (Policy: policy, Micro: micro))
            .Select(way => (way.Policy, way.Micro, Plan: Other(plan, With(given, way.Policy, way.Micro), model)))
            .Where(way => way.Plan.Fits).MaxBy(way => way.Plan.ImagesPerSecond);
        if (best.Plan is null || best.Plan.ImagesPerSecond < WorthSaying * plan.ImagesPerSecond) yield break;
        string[] changes =
        [
            .. best.Policy == plan.Spec.ActivationCheckpointing ? (string[])[] : [$"activationCheckpointing: {best.Policy}"],
            .. best.Plan.Micro == plan.Micro ? (string[])[] : [$"batch.micro: {best.Plan.Micro}"],
        ];
        yield return $"faster and fits: {string.Join(" with ", changes)} ({Figures(best.Plan)}).";
    }

    private static IEnumerable<string> Fitting(RunPlan plan, RunSpec given, ModelSizes model)
    {
        var fitting = Changes(plan, given).Select(change => (change.Words, Plan: Other(plan, change.Spec, model)))
            .Where(other => other.Plan.Fits).ToList();
        var lines = fitting // nothing is said that changes more than is needed
            .Where(one => !fitting.Any(other => other.Words.Length < one.Words.Length && other.Words.All(one.Words.Contains)))
            .Take(MostLines).Select(one => $"fits: {string.Join(" with ", one.Words)} ({Figures(one.Plan)}).").ToList();
        if (given.Batch.Global < plan.Gpus)
        {
            var enough = Other(plan, given with { Batch = given.Batch with { Global = plan.Gpus } }, model);
            if (enough.Fits) lines.Add($"fits: batch.global: {plan.Gpus} ({Figures(enough)}).");
            var fewer = plan.Nodes == 1 ? RunPlan.Of(given, model, plan.Target, 1, given.Batch.Global) : null;
            if (fewer is { Fits: true }) lines.Add($"fits: --gpus-per-node {given.Batch.Global} ({Figures(fewer)}).");
        }
        var more = Enumerable.Range(plan.Nodes + 1, MostNodes).Select(nodes => RunPlan.Of(given, model, plan.Target, nodes, plan.PerNode))
            .FirstOrDefault(other => other.Fits && other.Micro == plan.Micro);
        if (more is not null) lines.Add($"fits: --nodes {more.Nodes} ({Figures(more)}).");
        var larger = GpuCard.All.Where(other => other.Gigabytes >= plan.Target.Card?.Gigabytes && other != plan.Target.Card)
            .Select(other => RunPlan.Of(given, model, PlanTarget.Of(other), plan.Nodes, plan.PerNode)).FirstOrDefault(other => other.Fits);
        if (larger is not null) lines.Add($"fits: --gpu {larger.Target.Name} ({Figures(larger)}).");
        return lines.Count > 0 ? lines : ["nothing that was tried fits; take more GPUs, or larger ones."];
    }

    /// <summary>From what changes no result to what trains something else.</summary>
    private static IEnumerable<(string[] Words, RunSpec Spec)> Changes(RunPlan plan, RunSpec given)
    {
        const string Fewer = "batch.micro: 1", Scattered = "batch.reduceEvery: micro", Half = "precision: fp16";
        var spec = plan.Spec;
        var start = plan.Target.Card?.Computes(spec) != false ? (Words: (string[])[], Spec: given)
            : spec.Precision == "bf16" ? (Words: [Half], Spec: given with { Precision = "fp16", Attention = "auto" })
            : (Words: ["attention: auto"], Spec: given with { Attention = "auto" });
        var ways = new List<(string[] Words, RunSpec Spec)> { start };
        if (spec.Batch.ReduceEvery != "micro" && given.Cluster.State != "replicated")
            ways.Add(([.. start.Words, Scattered], start.Spec with { Batch = start.Spec.Batch with { ReduceEvery = "micro" } }));
        if (plan.Micro > 1)
            ways.AddRange([.. ways.Select(way => ((string[])[.. way.Words, Fewer], With(way.Spec, spec.ActivationCheckpointing, 1)))]);
        foreach (var policy in RecomputeChoice.Policies.SkipWhile(policy => policy != spec.ActivationCheckpointing).Skip(1))
            ways.AddRange([.. ways.Where(way => way.Spec.ActivationCheckpointing == spec.ActivationCheckpointing)
                .Select(way => ((string[])[.. way.Words, $"activationCheckpointing: {policy}"],
                    way.Spec with { ActivationCheckpointing = policy }))]);
        foreach (var kind in ((string[])["lora", "qlora"]).Where(kind => spec.Method.Kind != "qlora" && kind != spec.Method.Kind))
            ways.AddRange([.. ways.Where(way => way.Spec.Method.Kind == spec.Method.Kind)
                .Select(way => ((string[])[.. way.Words, $"method.kind: {kind}"],
                    way.Spec with { Method = way.Spec.Method with { Kind = kind } }))]);
        return ways.Where(way => way.Words.Length > 0)
            .OrderBy(way => way.Words.Any(word => word.StartsWith("method", StringComparison.Ordinal)))
            .ThenBy(way => way.Words.Length);
    }

    private static RunPlan Other(RunPlan plan, RunSpec spec, ModelSizes model) =>
        RunPlan.Of(spec, model, plan.Target, plan.Nodes, plan.PerNode);

    private static RunSpec With(RunSpec spec, string policy, int micro) =>
        spec with { ActivationCheckpointing = policy, Batch = spec.Batch with { Micro = micro } };

    private static string Figures(RunPlan plan) => string.Create(CultureInfo.InvariantCulture,
        $"{MachineFit.Gigabytes(plan.Memory.Total)} a rank, {plan.ImagesPerSecond:0.0} img/s");
}
