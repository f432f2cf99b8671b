namespace Phi3VCluster.Spec.Planning;

/// <summary>
/// Bytes that one rank of a run needs on its device, for a letter page a pass. Arithmetic over what the code
/// allocates and keeps, with a flat allowance for what it does not control; it was not measured on a GPU.
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
    /// <summary>For CUDA's context, the libraries' own memory and tensors in flight.</summary>
    private const double Allowance = 2e9;
    /// <summary>The page: DocVQA's mean length, and the crops of a letter page.</summary>
    private const double Tokens = 2443, Crops = 17;
    /// <summary>Attention written out: bytes a score needs for a moment, of one layer.</summary>
    private const double ScoreBytes = 16;

    /// <summary>What is there whatever the data are: below it no run can be.</summary>
    public double Certain => Weights + Gradients + Optimizer;

    public double Total => Weights + Gradients + Optimizer + Math.Max(Activations + Workspace, AnswerCaches) + Allowance;

    /// <param name="model">Null for the released one.</param>
    public static MemoryEstimate Of(RunSpec spec, int ranks, ModelSizes? model = null)
    {
        model ??= ModelSizes.Released;
        var bytes = spec.Precision == "fp32" ? 4 : 2;
        var (trained, unit) = model.TrainedBy(spec.Method);
        var shard = (double)trained / ranks;
        var (activations, moment) = ActivationsOf(spec, model, bytes);
        return new(
            WeightsOf(spec.Method, model, trained, bytes),
            spec.Batch.ReduceEvery == "micro" ? 4 * (shard + unit) : 4.0 * trained,
            (spec.Precision == "fp32" ? 8 : 12) * shard,
            activations, moment);
    }

    private static double WeightsOf(MethodSpec method, ModelSizes model, long trained, int bytes)
    {
        var weights = (double)bytes * (model.Parameters + (method.Kind is "lora" or "qlora" ? trained : 0));
        if (method.Kind != "qlora") return weights;
        var packed = (double)model.Layers * model.LayerMatrices; // one layer's are unpacked at a time
        return weights - packed * (bytes - (method.DoubleQuantization ? DoubleNf4Bytes : Nf4Bytes)) + (double)model.LayerMatrices * bytes;
    }

    /// <returns>What is kept, and what backward through one layer needs besides.</returns>
    private static (double Kept, double Moment) ActivationsOf(RunSpec spec, ModelSizes model, int bytes)
    {
        if (spec.Method.Kind == "head") return (0, 0);
        var pages = spec.Batch.Micro ?? 1; // auto: a page is longer than what it packs together
        var (tokens, patches) = (pages * Tokens, pages * Crops * ModelSizes.CropPositions);
        var isEager = spec.Attention == "eager";
        // Softmax keeps its float32 output; the product with the values keeps it once more where it is rounded.
        var keptScore = isEager ? bytes == 4 ? 4 : 4 + bytes : 0;
        var scores = pages * model.Heads * Tokens * Tokens;
        var towerScores = pages * Crops * model.TowerHeads * ModelSizes.CropPositions * ModelSizes.CropPositions;
        // Decoder: input, norm, packed qkv, rotated q and k, attended; half-way sum, norm, gate and up, silu, product.
        var layer = new Kept(tokens * model.Width * bytes, tokens * 8 * model.Width * bytes + scores * keptScore,
            tokens * (2 * model.Width + 4 * model.Intermediate) * bytes);
        // Tower: input, norm, q, k, v, attended; half-way sum, norm, both sides of the activation function.
        var towerLayer = new Kept(patches * model.TowerWidth * bytes, patches * 6 * model.TowerWidth * bytes + towerScores * keptScore,
            patches * (2 * model.TowerWidth + 2 * model.TowerIntermediate) * bytes);
        if (spec.Method.Kind == "frozen-vision" || spec.Method.FreezeVision) towerLayer = new(0, 0, 0);
        var policy = spec.ActivationCheckpointing;
        return (model.Layers * layer.Of(policy) + model.TowerLayers * towerLayer.Of(policy),
            Math.Max(layer.Recomputed(policy), towerLayer.Recomputed(policy)) + (isEager ? scores * (ScoreBytes - keptScore) : 0));
    }

    /// <summary>One layer's: its input, and what each half keeps, with its own input.</summary>
    private sealed record Kept(double Input, double Attention, double Mlp)
    {
        public double Of(string checkpointing) => checkpointing switch { "full" => Input, "selective" => Attention + Input, _ => Attention + Mlp };

        /// <summary>What is computed again, there for a moment.</summary>
        public double Recomputed(string checkpointing) => checkpointing switch { "full" => Attention + Mlp, "selective" => Mlp, _ => 0 };
    }
}
