namespace Phi3VCluster.Spec.Planning;

/// <summary>The sizes of the released Phi-3-Vision and Phi-3.5-Vision, as far as a run reads them: 4.13 G of the 4.15 G parameters.</summary>
public static class ReleasedModel
{
    public const long Width = 3072, Heads = 32, Layers = 32, Vocabulary = 32064;
    /// <summary>Width of the MLP's product; gate and up are computed as one map.</summary>
    public const long Intermediate = 8192;
    /// <summary>The CLIP tower's; its last layer never runs.</summary>
    public const long TowerWidth = 1024, TowerHeads = 16, TowerLayers = 23, TowerIntermediate = 4096, CropPositions = 577;

    private const long PatchWeights = 3 * 14 * 14 * TowerWidth;

    private static readonly Map[] LayerMaps =
    [
        new(Width, 3 * Width), new(Width, Width), new(Width, 2 * Intermediate), new(Intermediate, Width),
    ];
    private static readonly Map[] TowerLayerMaps =
    [
        .. Enumerable.Repeat(new Map(TowerWidth, TowerWidth), 4), new(TowerWidth, TowerIntermediate), new(TowerIntermediate, TowerWidth),
    ];
    private static readonly Map[] ProjectorMaps = [new(4 * TowerWidth, Width), new(Width, Width)];
    private static readonly Map HeadMap = new(Width, Vocabulary);

    /// <summary>A decoder layer's linear maps.</summary>
    public static long LayerMatrices { get; } = LayerMaps.Sum(map => map.Weights);

    /// <summary>A decoder layer: the largest unit whose gradients are complete at one moment.</summary>
    public static long Layer { get; } = LayerMatrices + 2 * Width;

    public static long Head { get; } = HeadMap.Weights + Width;

    /// <summary>Everything that the forward pass reads.</summary>
    public static long Parameters { get; } = Layers * Layer + Head + HeadMap.Weights // the token embedding is as large as the head's matrix
        + TowerLayers * (TowerLayerMaps.Sum(map => map.Weights + map.Outputs) + 4 * TowerWidth)
        + PatchWeights + (CropPositions + 3) * TowerWidth
        + ProjectorMaps.Sum(map => map.Weights + map.Outputs) + 8 * TowerWidth;

    /// <summary>What a method trains, adapters on all maps that can have some.</summary>
    /// <returns>All of it, and the largest unit.</returns>
    public static (long Count, long LargestUnit) TrainedBy(MethodSpec method)
    {
        if (method.Kind == "head") return (Head, Head);
        if (method.Kind == "frozen-vision") return (Layers * Layer + Head, Layer);
        if (method.Kind is not ("lora" or "qlora")) return (Parameters, Layer);
        var layer = LayerMaps.Sum(Adapter);
        var vision = method.FreezeVision ? 0 : TowerLayers * TowerLayerMaps.Sum(Adapter) + ProjectorMaps.Sum(Adapter);
        return (Layers * layer + Adapter(HeadMap) + vision, layer);

        long Adapter(Map map) => method.Rank * (map.Inputs + map.Outputs) + (method.Dora ? map.Outputs : 0);
    }

    private readonly record struct Map(long Inputs, long Outputs)
    {
        public long Weights => Inputs * Outputs;
    }
}
