namespace Phi3VCluster.Spec.Planning;

/// <summary>What a run is predicted to need and to reach on so many devices of a kind. Evaluation is not in it.</summary>
/// <param name="Spec">With what auto means there.</param>
/// <param name="Micro">Pages of a forward pass.</param>
/// <param name="Step">Of a whole global batch.</param>
/// <param name="Problems">Why the run cannot be there as it is written.</param>
public sealed record RunPlan(
    RunSpec Spec, PlanTarget Target, int Nodes, int PerNode, LetterPage Page, int Micro, MemoryEstimate Memory,
    StepTime Step, IReadOnlyList<string> Problems)
{
    // Of a pass: two of its three products. Sums go on beside it, but for those of the layer that it comes to last.
    private const double BackwardShare = 2.0 / 3;

    public double StepSeconds => Step.Total;

    /// <summary>Part of a step in which ranks wait for each other's bytes: nothing is computed meanwhile.</summary>
    public double ExposedRatio => Step.Exchange / Step.Total;

    public int Gpus => Nodes * PerNode;

    public bool Fits => Problems.Count == 0;

    public bool HoldsIt => Memory.Total <= Target.Memory;

    public double ImagesPerSecond => Spec.Batch.Global / StepSeconds;

    /// <summary>Null where the number of samples is not known.</summary>
    public double? Hours(long? samples) =>
        (samples is { } known ? StepPlan.Of(Spec, known).Total : (long?)Spec.MaxSteps) is { } steps ? steps * StepSeconds / 3600 : null;

    /// <param name="page">Null for the one that the spec's crops make.</param>
    public static RunPlan Of(RunSpec given, ModelSizes model, PlanTarget target, int nodes, int perNode, LetterPage? page = null)
    {
        var ranks = nodes * perNode;
        var spec = target.Resolve(given, model, ranks);
        page ??= LetterPage.Of(spec.Model.NumCrops);
        spec = WithMicro(spec, ranks, page);
        var memory = MemoryEstimate.Of(spec, ranks, model, target.IsAmpere, page);
        if (target.Runtime is { } runtime) memory = memory with { Allowance = runtime, Answers = 0 };
        var plan = new RunPlan(
            spec, target, nodes, perNode, page, spec.Batch.Micro!.Value, memory, TimeOf(spec, model, target, page, nodes, ranks), []);
        return plan with { Problems = [.. ProblemsOf(plan)] };
    }

    /// <summary>The spec with what auto comes to for the pages of a pass.</summary>
    public static RunSpec WithMicro(RunSpec spec, int ranks, LetterPage page) => spec with
    {
        Batch = spec.Batch with { Micro = Math.Min(page.PagesAPass(spec.Batch), ShareOf(spec, ranks)) },
    };

    /// <summary>Pages of a step on one rank.</summary>
    private static int ShareOf(RunSpec spec, int ranks) => (spec.Batch.Global + ranks - 1) / ranks;

    private static StepTime TimeOf(RunSpec spec, ModelSizes model, PlanTarget target, LetterPage page, int nodes, int ranks)
    {
        var (rates, cost, micro) = (target.Rates(spec), StepCost.Of(spec, model, page, target.IsAmpere), spec.Batch.Micro!.Value);
        var share = ShareOf(spec, ranks);
        var trained = (double)model.TrainedBy(spec.Method).Count;
        var isSharded = OptimizerSharding.IsSharded(spec, (long)trained);
        var passes = (share + micro - 1) / micro;
        var compute = share / micro * rates.PassSeconds(cost, micro) + (share % micro > 0 ? rates.PassSeconds(cost, share % micro) : 0);
        var update = cost.ValueBytes * trained / (isSharded ? ranks : 1) / rates.Bytes;

        // Replicated, the sums of all gradients come back; sharded, the new values do, as the model computes.
        var (rounds, number) = (spec.Batch.ReduceEvery == "micro" ? passes : 1, spec.Batch.GradientType == "fp32" ? 4 : 2);
        var sums = Travel((isSharded ? 1 : 2) * number * trained);
        var values = isSharded ? Travel((spec.Precision == "fp32" ? 4 : 2) * trained) : 0;
        var beside = rates.PassSeconds(cost, Math.Min(micro, share)) * BackwardShare;
        return new(compute, update, rounds * Math.Max(sums / model.Layers, sums - beside) + values);

        double Travel(double bytes) =>
            ranks == 1 ? 0 : bytes * (ranks - 1) / ranks / (nodes > 1 ? Math.Min(target.Link, target.Network) : target.Link);
    }

    private static IEnumerable<string> ProblemsOf(RunPlan plan)
    {
        var (spec, target) = (plan.Spec, plan.Target);
        if (target.Card is { } card && !card.Computes(spec))
            yield return spec.Precision == "bf16"
                ? $"precision: {card.Name} does not multiply bf16, got bf16; write fp16, or take cards of compute capability 8.0."
                : $"attention: {card.Name} has no flash attention, got flash; write auto.";
        if (spec.Fp8 && target.Card is not { HasFp8: true })
            yield return $"fp8: {target.Name} has no 8-bit products with a scale for each row, got true; write false, or take H100 or "
                + "H200.";
        if (spec.Cluster.Device == (target.Card is null ? "cuda" : "cpu"))
            yield return $"cluster.device: the plan is for {target.Name}, got {spec.Cluster.Device}; write auto.";
        if (spec.Batch.Global < plan.Gpus)
            yield return $"batch.global: must give each of {plan.Gpus} ranks a sample, got {spec.Batch.Global}; raise it, or take fewer.";
        if (!plan.HoldsIt)
            yield return $"memory: a rank needs {MachineFit.Gigabytes(plan.Memory.Total)}, {target.Name} has "
                + $"{MachineFit.Gigabytes(target.Memory)}; see what would fit.";
    }
}
