namespace Phi3VCluster.Spec;

/// <summary>
/// What is wrong with a spec by itself, its names among it. Touches no file.
/// </summary>
public static class RunSpecValidation
{
    /// <summary>Crops of 144 tokens that the released models' context of 131,072 holds.</summary>
    public const int MostCrops = 900;

    private const int LongestName = 64, MostWorkers = 64, UsualEpochs = 1000;

    /// <summary>AdamW moves a weight by about the rate in a step; weights are squared in float32.</summary>
    private const double UsualRate = 0.1, MostRate = 1e18;

    public static IReadOnlyList<string> Problems(RunSpec spec) =>
    [
        .. Run(spec), .. Model(spec.Model), .. Method(spec.Method), .. Data(spec.Data), .. Batch(spec), .. Optimizer(spec.Optimizer),
        .. Evaluation(spec.Evaluation), .. Cluster(spec.Cluster), .. Checkpoint(spec.Checkpoint), .. Failure(spec.Failure),
        .. KnownNames.Problems(spec),
    ];

    /// <summary>Sentences about what is accepted but will not happen.</summary>
    public static IReadOnlyList<string> Warnings(RunSpec spec)
    {
        var warnings = new List<string>();
        if (spec.Data is { EvalRows: { } rows, Eval: { } eval } && eval != spec.Data.Train)
            warnings.Add($"data.evalRows: all rows of data.eval evaluate, got {rows} beside it; leave one of the two out.");
        if (spec.Data.Eval is null && spec.Data.EvalRows is null or 0 && KnownNames.HeldOutRows(spec.Data.Kind) == 0)
            warnings.Add("data.eval: nothing is held out, so nothing is evaluated; "
                + "name samples in data.eval, or a number in data.evalRows.");
        foreach (var (key, rate) in Rates(spec.Optimizer))
            if (rate > UsualRate)
                warnings.Add($"{key}: a step moves every weight by about as much, got {rate:R}; common values are 1e-5 to 1e-3.");
        if (spec.Epochs > UsualEpochs && spec.MaxSteps is null)
            warnings.Add($"epochs: so many passes over the samples are hardly meant, got {spec.Epochs}; lower it, or give maxSteps.");
        return warnings;
    }

    private static IEnumerable<string> Run(RunSpec s)
    {
        if (!IsName(s.Name))
            yield return $"name: must be 1 to {LongestName} letters, digits, '-', '_' or '.', a letter or digit first, got \"{s.Name}\"; " +
                "write for example docvqa-lora.";
        if (s.Precision == "fp8")
            yield return "precision: 8 bits are for some products alone, got fp8; write precision: bf16 and fp8: true.";
        else if (s.Precision is not ("auto" or "fp32" or "bf16" or "fp16"))
            yield return OneOf("precision", s.Precision, "auto", "fp32", "bf16", "fp16");
        if (s.Attention is not ("auto" or "flash" or "eager")) yield return OneOf("attention", s.Attention, "auto", "flash", "eager");
        if (s is { Precision: "fp16", Attention: "flash" })
            yield return "attention: flash attention overflows in fp16 (the recipe's known issue), got flash with precision fp16; " +
                "write auto, or precision: bf16.";
        if (s.ActivationCheckpointing is not ("auto" or "none" or "selective" or "full"))
            yield return OneOf("activationCheckpointing", s.ActivationCheckpointing, "auto", "none", "selective", "full");
        foreach (var (setting, instead) in s.Fp8 ? NotWithFp8(s) : [])
            yield return $"fp8: 8-bit products do not go with {setting}, got true; write {instead}, or fp8: false.";
        if (s.Epochs < 1) yield return AtLeast("epochs", 1, s.Epochs);
        if (s.MaxSteps < 1) yield return AtLeast("maxSteps", 1, s.MaxSteps.Value);
        if (Blank(s.Output)) yield return Required("output", "the folder that receives the results");
    }

    private static IEnumerable<(string Setting, string Instead)> NotWithFp8(RunSpec s)
    {
        if (s.Precision is "fp32" or "fp16") yield return ($"precision: {s.Precision}", "precision: bf16");
        if (s.Method.Kind == "qlora") yield return ("4-bit weights (method.kind: qlora)", "method.kind: lora");
        if (s.Method.Dora) yield return ("method.dora", "method.dora: false");
        if (s.Method.Dropout > 0) yield return ("method.dropout", "method.dropout: 0");
        if (s.Attention == "eager") yield return ("attention: eager", "attention: auto");
        if (s.Cluster.Device == "cpu") yield return ("cluster.device: cpu", "cluster.device: cuda");
    }

    private static IEnumerable<string> Model(ModelSpec s)
    {
        if (Blank(s.Path)) yield return Required("model.path", "a checkpoint folder in Hugging Face layout");
        if (s.NumCrops < 1) yield return AtLeast("model.numCrops", 1, s.NumCrops.Value);
        if (s.NumCrops > MostCrops)
            yield return $"model.numCrops: must be at most {MostCrops}, got {s.NumCrops}; common values are 4 and 16.";
    }

    private static IEnumerable<string> Method(MethodSpec s)
    {
        if (Blank(s.Kind)) yield return Required("method.kind", "a method's name, for example full");
        if (s.Rank < 1) yield return AtLeast("method.rank", 1, s.Rank);
        if (s.Alpha is { } alpha && !Positive(alpha)) yield return Above0("method.alpha", alpha);
        if (!(s.Dropout >= 0 && s.Dropout < 1))
            yield return $"method.dropout: must be from 0 to below 1, got {s.Dropout:R}; common values are 0 to 0.1.";
        if (s.Targets is { } targets && (targets.Count == 0 || targets.Any(Blank)))
            yield return "method.targets: must name at least one linear layer, got an empty name or list; "
                + "write for example [qkv_proj], or null.";
        if (s.Adapter is { } adapter && Blank(adapter)) yield return Required("method.adapter", "an adapter folder, or null");
    }

    private static IEnumerable<string> Data(DataSpec s)
    {
        if (Blank(s.Kind)) yield return Required("data.kind", "a dataset's name, for example conversations");
        if (Blank(s.Train)) yield return Required("data.train", "a file or glob of training samples");
        if (s.Eval is { } eval && Blank(eval)) yield return Required("data.eval", "a file or glob, or null");
        if (s.EvalKind is not null && (s.Eval is null || s.Eval == s.Train))
            yield return $"data.evalKind: is the form of other files than data.train's, got {s.EvalKind} without such; "
                + "name them in data.eval, or leave it out.";
        if (s.EvalRows is < 0) yield return AtLeast("data.evalRows", 0, s.EvalRows.Value);
        if (s.EvalSplit is not ("first" or "random")) yield return OneOf("data.evalSplit", s.EvalSplit, "first", "random");
        if (s.ImageRoot is { } root && Blank(root)) yield return Required("data.imageRoot", "a folder, or null");
        if (s.CacheFeatures is not ("auto" or "memory" or "disk" or "none"))
            yield return OneOf("data.cacheFeatures", s.CacheFeatures, "auto", "memory", "disk", "none");
        if (s.Workers < 1) yield return AtLeast("data.workers", 1, s.Workers.Value);
        if (s.Workers > MostWorkers)
            yield return $"data.workers: must be at most {MostWorkers} threads of each rank, got {s.Workers}; lower it, or write auto.";
        if (s.OnBadSample is not ("fail" or "skip")) yield return OneOf("data.onBadSample", s.OnBadSample, "fail", "skip");
    }

    private static IEnumerable<string> Batch(RunSpec s)
    {
        if (s.Batch.Global < 1) yield return AtLeast("batch.global", 1, s.Batch.Global);
        else if (s.Batch.Global < s.Cluster.MaxRanks)
            yield return $"batch.global: must give each of cluster.maxRanks = {s.Cluster.MaxRanks} ranks a sample, got {s.Batch.Global}; " +
                "raise it or lower cluster.maxRanks.";
        if (s.Batch.Micro < 1) yield return AtLeast("batch.micro", 1, s.Batch.Micro.Value);
        if (s.Batch.MicroTokens < 1) yield return AtLeast("batch.microTokens", 1, s.Batch.MicroTokens.Value);
        if (s is { Cluster.State: "replicated", Batch.ReduceEvery: "micro" })
            yield return "batch.reduceEvery: a replicated state is reduced once a step, got micro; write step, or cluster.state: sharded.";
        if (s.Batch.GradientType is not ("fp32" or "bf16" or "fp16"))
            yield return OneOf("batch.gradientType", s.Batch.GradientType, "fp32", "bf16", "fp16");
        else if (s.Batch.GradientType != "fp32" && s.Cluster.Collective.StartsWith("nccl", StringComparison.Ordinal))
            yield return $"batch.gradientType: gradients travel in 16 bits over tcp alone, got {s.Batch.GradientType} with "
                + $"cluster.collective: {s.Cluster.Collective}; write fp32, or cluster.collective: tcp.";
        if (s.Batch.ReduceEvery is not ("step" or "micro")) yield return OneOf("batch.reduceEvery", s.Batch.ReduceEvery, "step", "micro");
    }

    private static IEnumerable<string> Optimizer(OptimizerSpec s)
    {
        foreach (var (key, rate) in Rates(s))
        {
            if (!Positive(rate)) yield return Above0(key, rate);
            else if (rate > MostRate)
                yield return $"{key}: must be at most 1e18, or the squares of weights overflow float32 after a step, got {rate:R}; "
                    + "common values are 1e-5 to 1e-3.";
        }
        if (Blank(s.Schedule)) yield return Required("optimizer.schedule", "a schedule's name, for example linear");
        if (s.WarmupSteps < 0) yield return AtLeast("optimizer.warmupSteps", 0, s.WarmupSteps.Value);
        if (!(s.WeightDecay >= 0)) yield return AtLeast("optimizer.weightDecay", 0, s.WeightDecay);
        if (s.Betas.Count != 2 || s.Betas.Any(b => !(b >= 0 && b < 1)))
            yield return $"optimizer.betas: must be two numbers from 0 to below 1, got [{string.Join(", ", s.Betas)}]; " +
                "write for example [0.9, 0.95].";
        if (!Positive(s.Epsilon)) yield return Above0("optimizer.epsilon", s.Epsilon);
        if (!(s.MaxGradNorm >= 0)) yield return AtLeast("optimizer.maxGradNorm", 0, s.MaxGradNorm);
        if (s.Loss is not ("sample" or "token")) yield return OneOf("optimizer.loss", s.Loss, "sample", "token");
        if (s.OnNonFinite is not ("stop" or "skip")) yield return OneOf("optimizer.onNonFinite", s.OnNonFinite, "stop", "skip");
        if (s.MaxSkippedSteps < 0) yield return AtLeast("optimizer.maxSkippedSteps", 0, s.MaxSkippedSteps);
    }

    private static IEnumerable<(string Key, double Rate)> Rates(OptimizerSpec s)
    {
        yield return ("optimizer.learningRate", s.LearningRate);
        if (s.LearningRates.VisionTower is { } tower) yield return ("optimizer.learningRates.visionTower", tower);
        if (s.LearningRates.Projector is { } projector) yield return ("optimizer.learningRates.projector", projector);
        if (s.LearningRates.LanguageModel is { } language) yield return ("optimizer.learningRates.languageModel", language);
    }

    private static IEnumerable<string> Evaluation(EvaluationSpec s)
    {
        if (Blank(s.Metric)) yield return Required("evaluation.metric", "a metric's name, for example anls");
        if (s.MaxNewTokens < 1) yield return AtLeast("evaluation.maxNewTokens", 1, s.MaxNewTokens);
        if (s.EverySteps is { } steps and < 1) yield return AtLeast("evaluation.everySteps", 1, steps);
    }

    private static IEnumerable<string> Cluster(ClusterSpec s)
    {
        if (s.MinRanks < 1) yield return AtLeast("cluster.minRanks", 1, s.MinRanks);
        if (s.MaxRanks < 1) yield return AtLeast("cluster.maxRanks", 1, s.MaxRanks);
        else if (s.MaxRanks < s.MinRanks)
            yield return $"cluster.maxRanks: must be at least cluster.minRanks = {s.MinRanks}, got {s.MaxRanks}; raise it.";
        if (s.Device is not ("auto" or "cpu" or "cuda")) yield return OneOf("cluster.device", s.Device, "auto", "cpu", "cuda");
        if (s.State is not ("auto" or "replicated" or "sharded"))
            yield return OneOf("cluster.state", s.State, "auto", "replicated", "sharded");
        if (Blank(s.Collective)) yield return Required("cluster.collective", "a collective's name, or auto");
    }

    private static IEnumerable<string> Checkpoint(CheckpointSpec? s)
    {
        if (s is { EverySteps: < 0 }) yield return AtLeast("checkpoint.everySteps", 0, s.EverySteps);
        if (s is { Keep: < 1 }) yield return AtLeast("checkpoint.keep", 1, s.Keep);
    }

    private static IEnumerable<string> Failure(FailureSpec s)
    {
        if (s.OrphanSeconds < 1) yield return AtLeast("failure.orphanSeconds", 1, s.OrphanSeconds);
        if (s.ShortSeconds < 0) yield return AtLeast("failure.shortSeconds", 0, s.ShortSeconds);
        if (s.DiskSeconds < 0) yield return AtLeast("failure.diskSeconds", 0, s.DiskSeconds);
    }

    private static string AtLeast(string path, int least, double got) => $"{path}: must be at least {least}, got {got:R}; raise it.";

    private static string OneOf(string path, string got, params string[] known) =>
        $"{path}: must be {string.Join(", ", known[..^1])} or {known[^1]}, got {got}; "
        + (Nearest.To(got, known) is { } meant ? $"did you mean {meant}?" : $"write {known[0]}.");

    private static string Above0(string path, double got) => $"{path}: must be above 0, got {got:R}; raise it.";

    private static string Required(string path, string what) => $"{path}: is required, got nothing; give {what}.";

    private static bool Positive(double value) => value > 0 && double.IsFinite(value);

    private static bool Blank(string text) => string.IsNullOrWhiteSpace(text);

    private static bool IsName(string name) => name.Length is > 0 and <= LongestName && char.IsAsciiLetterOrDigit(name[0])
        && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
}
