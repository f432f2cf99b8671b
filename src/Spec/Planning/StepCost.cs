namespace Phi3VCluster.Spec.Planning;

/// <summary>
/// What a step has to do, counted from the model's sizes: operations of a page, forward and backward with what is computed twice, and
/// bytes that pass through memory.
/// </summary>
/// <param name="Products">Operations of the maps' products; 8-bit ones count as the 16-bit ones that take as long.</param>
/// <param name="ThinProducts">Operations of the adapters' products, whose inner dimension is their rank.</param>
/// <param name="Attention">Operations of attention's products, causal ones as a triangle.</param>
/// <param name="PageBytes">Read and written between the products, a page.</param>
/// <param name="PassBytes">The same, a pass, however many pages it has.</param>
/// <param name="ValueBytes">The same, for each value that a rank updates, a step.</param>
/// <param name="LayerRuns">Layers that are run through in a pass, there and back.</param>
public sealed record StepCost(
    double Products, double ThinProducts, double Attention, double PageBytes, double PassBytes, double ValueBytes, double LayerRuns)
{
    /// <summary>Backward of attention that keeps no scores makes five products where forward makes two.</summary>
    private const double AttentionBackward = 2.5;
    /// <summary>What norms, residuals, rotation and activation pass over, in units of a position's width: decoder, tower.</summary>
    private const double DecoderUnits = 49, TowerUnits = 40;
    /// <summary>As many times more where libtorch's operations do it one by one.</summary>
    private const double ByAutograd = 2.2;
    /// <summary>A score that is written out: product, mask, softmax in float32, product, and back.</summary>
    private const double ScoreBytes = 50;
    /// <summary>
    /// Time of an 8-bit product beside a 16-bit one's, and bytes for each value that is rounded for it: 2 read, 1 written.
    /// </summary>
    private const double Fp8Share = 0.57, Fp8Bytes = 3;
    /// <summary>Norm, AdamW with masters, 16-bit copies and zeroing.</summary>
    private const double UpdateBytes = 34;
    /// <summary>Four bits and their scale are read, 16 bits are written, there and back.</summary>
    private const double UnpackBytes = 2 * 2.5;

    public static StepCost Of(RunSpec spec, ModelSizes model, LetterPage page, bool isAmpere)
    {
        var (kind, policy) = (spec.Method.Kind, spec.ActivationCheckpointing);
        var hasAdapters = kind is "lora" or "qlora";
        var (tokens, patches) = (page.Tokens, page.Crops * ModelSizes.CropPositions);
        // How often each part's products are made: forward, gradients of inputs, gradients of weights.
        var decoder = kind == "head" ? 1 : hasAdapters ? 2 : 3;
        var tower = kind is "head" or "frozen-vision" || spec.Method.FreezeVision ? 1 : hasAdapters ? 2 : 3;
        var (decoderLayers, towerLayers) = (
            2.0 * model.Layers * model.LayerMatrices * tokens,
            2.0 * model.TowerLayers * model.TowerLayerMatrices * patches);
        var inFp8 = spec.Fp8 ? Math.Min(decoder, 2) * decoderLayers * (model.Layers - 1) / model.Layers : 0;
        var products = inFp8 * (Fp8Share - 1) + decoder * decoderLayers + tower * (towerLayers + 2.0 * model.ProjectorMatrices * tokens)
            + (decoder > 1 ? Again(decoderLayers, 2.0 * model.Width / model.LayerMatrices * model.Intermediate) : 0)
            + (tower > 1 ? Again(towerLayers, (double)model.TowerWidth / model.TowerLayerMatrices * model.TowerIntermediate) : 0);
        var thin = !hasAdapters ? 0 : 6.0 * spec.Method.Rank
            * (tokens * model.Layers * model.LayerEnds + (tower > 1 ? patches * model.TowerLayers * model.TowerLayerEnds : 0));
        var decoderAttention = 2.0 * tokens * tokens * model.Width * model.Layers;
        var towerAttention = 4.0 * ModelSizes.CropPositions * patches * model.TowerWidth * model.TowerLayers;
        var isByHand = isAmpere && MemoryEstimate.IsByHand(spec);
        var elementBytes = spec.Precision == "fp32" ? 4 : 2;
        return new(products, thin,
            decoderAttention * OfAttention(decoder > 1) + towerAttention * OfAttention(tower > 1),
            elementBytes * (isByHand ? 1 : ByAutograd)
                * (DecoderUnits * tokens * model.Width * model.Layers * (decoder > 1 ? 1 : 1 / 3.0)
                    + TowerUnits * patches * model.TowerWidth * model.TowerLayers * (tower > 1 ? 1 : 1 / 3.0))
                + (spec.Fp8 ? Fp8Bytes * tokens * model.Layers * model.LayerEnds * (decoder > 1 ? 1 : 0.5) : 0)
                + (spec.Attention == "eager" ? ScoreBytes * (model.Layers * model.Heads * tokens * tokens
                    + model.TowerLayers * model.TowerHeads * patches * ModelSizes.CropPositions) : 0),
            kind == "qlora" ? UnpackBytes * model.Layers * model.LayerMatrices * (policy == "none" ? 1 : 1.5) : 0,
            UpdateBytes,
            model.Layers * (decoder > 1 ? 1 : 1 / 3.0) + model.TowerLayers * (tower > 1 ? 1 : 1 / 3.0));

        double Again(double forward, double mlpShare) => policy switch { "full" => forward, "selective" => forward * mlpShare, _ => 0 };

        double OfAttention(bool goesBack) => 1 + (goesBack ? AttentionBackward + (policy == "full" ? 1 : 0) : 0);
    }
}
