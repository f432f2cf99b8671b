namespace Phi3VCluster.Spec.Planning;

/// <summary>
/// Bytes that one rank of a run needs on its device, for letter pages. Arithmetic over what the code allocates and keeps, with a flat
/// allowance for what it does not control. Without the allowance it is within 2 % of what H100 and H200 allocated
/// at their peak (docs/speed.md).
/// </summary>
/// <param name="Weights">All that the model computes with, trained or not.</param>
/// <param name="Optimizer">The rank's shard of moments and masters.</param>
/// <param name="Activations">What backward needs and forward keeps, all layers together.</param>
/// <param name="Workspace">What backward through one layer needs for a moment.</param>
public sealed record MemoryEstimate(double Weights, double Gradients, double Optimizer, double Activations, double Workspace)
{
    /// <summary>Of answers that grow together in evaluation, when nothing is kept for backward.</summary>
    public const double AnswerCaches = 4L << 30;

    private const double Nf4Bytes = 0.5 + 4.0 / 64, DoubleNf4Bytes = 0.5 + 1.0 / 64 + 4.0 / (64 * 256);
    /// <summary>Of a value of the decoder's layers but the last: one copy with scales for the way forward, one for the way back.</summary>
    private const double Fp8Bytes = 2;
    /// <summary>Attention written out: bytes a score needs for a moment, of one layer.</summary>
    private const double ScoreBytes = 16;

    /// <summary>For CUDA's context, the libraries' own memory and tensors in flight.</summary>
    public double Allowance { get; init; } = 2e9;

    /// <summary>Room that answers may take in evaluation, instead of activations.</summary>
    public double Answers { get; init; } = AnswerCaches;

    /// <summary>What is there whatever the data are: below it no run can be.</summary>
    public double Certain => Weights + Gradients + Optimizer;

    public double Total => Weights + Gradients + Optimizer + Math.Max(Activations + Workspace, Answers) + Allowance;

    /// <summary>What is there at the fullest moment, part by part.</summary>
    public IReadOnlyList<(string Name, double Bytes)> Items => Activations + Workspace >= Answers
        ? [.. Lasting, ("activations", Activations), ("backward's workspace", Workspace), ("runtime and libraries", Allowance)]
        : [.. Lasting, ("answers in evaluation", Answers), ("runtime and libraries", Allowance)];

    private (string, double)[] Lasting => [("weights", Weights), ("gradients", Gradients), ("masters and moments", Optimizer)];

    /// <param name="model">Null for the released one.</param>
    /// <param name="isAmpere">On a card of compute capability 8.0 or above, where layers have a backward that keeps less.</param>
    /// <param name="page">Null for the one that the spec's crops make.</param>
    public static MemoryEstimate Of(RunSpec spec, int ranks, ModelSizes? model = null, bool isAmpere = false, LetterPage? page = null)
    {
        model ??= ModelSizes.Released;
        page ??= LetterPage.Of(spec.Model.NumCrops);
        var bytes = spec.Precision == "fp32" ? 4 : 2;
        var (trained, unit) = model.TrainedBy(spec.Method);
        var shard = OptimizerSharding.IsSharded(spec, trained) ? (double)trained / ranks : trained;
        var (activations, moment) = ActivationsOf(spec, model, bytes, page, isAmpere && IsByHand(spec));
        return new(
            WeightsOf(spec.Method, model, trained, bytes) + (spec.Fp8 ? Fp8Bytes * (model.Layers - 1.0) * model.LayerMatrices : 0),
            spec.Batch.ReduceEvery == "micro" ? 4 * (shard + 2 * unit) : 4.0 * trained,
            (spec.Precision == "fp32" ? 8 : 12) * shard,
            activations, moment);
    }

    /// <summary>Whether a card that can takes the layers' backward that is written by hand.</summary>
    internal static bool IsByHand(RunSpec spec) =>
        spec is { Precision: "bf16" or "auto", Attention: not "eager", Method: { Dora: false, Dropout: 0 } };

    private static double WeightsOf(MethodSpec method, ModelSizes model, long trained, int bytes)
    {
        var weights = (double)bytes * (model.Parameters + (method.Kind is "lora" or "qlora" ? trained : 0));
        if (method.Kind != "qlora") return weights;
        var packed = (double)model.Layers * model.LayerMatrices; // one layer's are unpacked at a time
        return weights - packed * (bytes - (method.DoubleQuantization ? DoubleNf4Bytes : Nf4Bytes)) + (double)model.LayerMatrices * bytes;
    }

    /// <returns>What is kept, and what backward through one layer needs besides.</returns>
    private static (double Kept, double Moment) ActivationsOf(RunSpec spec, ModelSizes model, int bytes, LetterPage page, bool isByHand)
    {
        if (spec.Method.Kind == "head") return (0, 0);
        var pages = page.PagesAPass(spec.Batch);
        var (tokens, patches) = (pages * page.Tokens, pages * page.Crops * ModelSizes.CropPositions);
        var isEager = spec.Attention == "eager";
        // Softmax keeps its float32 output; the product with the values keeps it once more where it is rounded.
        var keptScore = isEager ? bytes == 4 ? 4 : 4 + bytes : 0;
        var scores = pages * model.Heads * page.Tokens * page.Tokens;
        var towerScores = pages * page.Crops * model.TowerHeads * ModelSizes.CropPositions * ModelSizes.CropPositions;
        var isFrozen = spec.Method.Kind == "frozen-vision" || spec.Method.FreezeVision;
        var (layer, towerLayer) = isByHand ? ByHand(spec.Method, model) : ByAutograd(model);
        layer = layer.Times(tokens * bytes) with { Attention = tokens * bytes * layer.Attention + scores * keptScore };
        towerLayer = isFrozen ? new(0, 0, 0)
            : towerLayer.Times(patches * bytes) with { Attention = patches * bytes * towerLayer.Attention + towerScores * keptScore };
        var policy = spec.ActivationCheckpointing;
        return (model.Layers * layer.Of(policy) + model.TowerLayers * towerLayer.Of(policy),
            Math.Max(layer.Recomputed(policy), towerLayer.Recomputed(policy)) + (isEager ? scores * (ScoreBytes - keptScore) : 0)
                + (isByHand ? tokens * bytes * (2 * model.Width + 4 * model.Intermediate) : 0));
    }

    /// <summary>Values a position. Decoder: input, norm, packed qkv, rotated q and k, attended; half-way sum, norm, gate and up, silu,
    /// product. Tower: input, norm, q, k, v, attended; half-way sum, norm, both sides of the activation function.</summary>
    private static (Kept Layer, Kept TowerLayer) ByAutograd(ModelSizes model) => (
        new(model.Width, 8 * model.Width, 2 * model.Width + 4 * model.Intermediate),
        new(model.TowerWidth, 6 * model.TowerWidth, 2 * model.TowerWidth + 2 * model.TowerIntermediate));

    /// <summary>Decoder: input, packed qkv, attended; half-way sum, gate and up. Tower: input, q, k, v, attended; half-way sum, the
    /// activation function's input. With adapters also what their first maps make of each input.</summary>
    private static (Kept Layer, Kept TowerLayer) ByHand(MethodSpec method, ModelSizes model)
    {
        var low = method.Kind is "lora" or "qlora" ? method.Rank : 0;
        return (new(model.Width, 2 * model.Width + model.AttentionInputs + 2 * low, model.Width + 2 * model.Intermediate + 2 * low),
            new(model.TowerWidth, 5 * model.TowerWidth + 4 * low, model.TowerWidth + model.TowerIntermediate + 2 * low));
    }

    /// <summary>One layer's: its input, and what each half keeps, with its own input.</summary>
    private sealed record Kept(double Input, double Attention, double Mlp)
    {
        public Kept Times(double factor) => new(Input * factor, Attention * factor, Mlp * factor);

        public double Of(string checkpointing) =>
            checkpointing switch { "full" => Input, "selective" => Attention + Input, _ => Attention + Mlp };

        /// <summary>What is computed again, there for a moment.</summary>
        public double Recomputed(string checkpointing) => checkpointing switch { "full" => Attention + Mlp, "selective" => Mlp, _ => 0 };
    }
}
