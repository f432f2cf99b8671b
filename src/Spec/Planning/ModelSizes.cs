using System.Text.Json;

namespace Phi3VCluster.Spec.Planning;

/// <summary>The sizes of a model of Phi-3-Vision's architecture, as far as a run reads it. The defaults are the released models'.</summary>
public sealed record ModelSizes
{
    /// <summary>Positions of a crop: its patches and the class token.</summary>
    public const long CropPositions = 577;

    private const long Patch = 3 * 14 * 14;

    public long Width { get; init; } = 3072;
    public long Heads { get; init; } = 32;
    public long KeyValueHeads { get; init; } = 32;
    public long Layers { get; init; } = 32;
    public long Vocabulary { get; init; } = 32064;
    /// <summary>Width of the MLP's product; gate and up are computed as one map.</summary>
    public long Intermediate { get; init; } = 8192;
    public long TowerWidth { get; init; } = 1024;
    public long TowerHeads { get; init; } = 16;
    /// <summary>Those that run: the last one of the checkpoint never does.</summary>
    public long TowerLayers { get; init; } = 23;
    public long TowerIntermediate { get; init; } = 4096;

    /// <summary>Of the released Phi-3-Vision and Phi-3.5-Vision: 4.13 G of their 4.15 G parameters are read.</summary>
    public static ModelSizes Released { get; } = new();

    /// <summary>A decoder layer's linear maps.</summary>
    public long LayerMatrices => LayerMaps.Sum(map => map.Weights);

    /// <summary>A decoder layer: the largest unit whose gradients are complete at one moment.</summary>
    public long Layer => LayerMatrices + 2 * Width;

    /// <summary>Width of q, k and v together.</summary>
    public long AttentionInputs => Width + 2 * Width / Heads * KeyValueHeads;

    /// <summary>A tower layer's linear maps.</summary>
    public long TowerLayerMatrices => TowerLayerMaps.Sum(map => map.Weights);

    public long ProjectorMatrices => ProjectorMaps.Sum(map => map.Weights);

    /// <summary>Inputs and outputs of all maps of a decoder layer together: an adapter of rank r has r weights for each.</summary>
    public long LayerEnds => LayerMaps.Sum(map => map.Inputs + map.Outputs);

    /// <inheritdoc cref="LayerEnds"/>
    public long TowerLayerEnds => TowerLayerMaps.Sum(map => map.Inputs + map.Outputs);

    public long Head => HeadMap.Weights + Width;

    /// <summary>Everything that the forward pass reads.</summary>
    public long Parameters => Layers * Layer + Head + HeadMap.Weights // the token embedding is as large as the head's matrix
        + TowerLayers * (TowerLayerMaps.Sum(map => map.Weights + map.Outputs) + 4 * TowerWidth)
        + Patch * TowerWidth + (CropPositions + 3) * TowerWidth
        + ProjectorMaps.Sum(map => map.Weights + map.Outputs) + 8 * TowerWidth;

    private IEnumerable<Map> LayerMaps =>
    [
        new(Width, AttentionInputs), new(Width, Width), new(Width, 2 * Intermediate), new(Intermediate, Width),
    ];

    private IEnumerable<Map> TowerLayerMaps =>
    [
        .. Enumerable.Repeat(new Map(TowerWidth, TowerWidth), 4), new(TowerWidth, TowerIntermediate), new(TowerIntermediate, TowerWidth),
    ];

    private IEnumerable<Map> ProjectorMaps => [new(4 * TowerWidth, Width), new(Width, Width)];

    private Map HeadMap => new(Width, Vocabulary);

    /// <summary>Reads the sizes of a checkpoint's <c>config.json</c>.</summary>
    /// <returns>Null where it cannot be read or lacks some: what is wrong with it is said by whoever loads the model.</returns>
    public static ModelSizes? Read(string folder)
    {
        try
        {
            using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "config.json")));
            return config.RootElement.ValueKind == JsonValueKind.Object ? Of(config.RootElement) : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>What a method trains, adapters on all maps that can have some.</summary>
    /// <returns>All of it, and the largest unit.</returns>
    public (long Count, long LargestUnit) TrainedBy(MethodSpec method)
    {
        if (method.Kind == "head") return (Head, Head);
        if (method.Kind == "frozen-vision") return (Layers * Layer + Head, Layer);
        if (method.Kind is not ("lora" or "qlora")) return (Parameters, Layer);
        var layer = LayerMaps.Sum(Adapter);
        var vision = method.FreezeVision ? 0 : TowerLayers * TowerLayerMaps.Sum(Adapter) + ProjectorMaps.Sum(Adapter);
        return (Layers * layer + Adapter(HeadMap) + vision, layer);

        long Adapter(Map map) => method.Rank * (map.Inputs + map.Outputs) + (method.Dora ? map.Outputs : 0);
    }

    private static ModelSizes? Of(JsonElement config)
    {
        if (Size(config, "hidden_size") is not { } width || Size(config, "intermediate_size") is not { } intermediate
            || Size(config, "num_hidden_layers") is not { } layers || Size(config, "num_attention_heads") is not { } heads
            || Size(config, "vocab_size") is not { } vocabulary) return null;
        var hasTower = config.TryGetProperty("vision_config", out var tower) && tower.ValueKind == JsonValueKind.Object;
        return new()
        {
            Width = width,
            Heads = heads,
            KeyValueHeads = Size(config, "num_key_value_heads") ?? heads,
            Layers = layers,
            Vocabulary = vocabulary,
            Intermediate = intermediate,
            TowerWidth = OfTower("hidden_size") ?? Released.TowerWidth,
            TowerHeads = OfTower("num_attention_heads") ?? Released.TowerHeads,
            TowerLayers = OfTower("num_hidden_layers") - 1 ?? Released.TowerLayers,
            TowerIntermediate = OfTower("intermediate_size") ?? Released.TowerIntermediate,
        };

        long? OfTower(string key) => hasTower ? Size(tower, key) : null;
    }

    private static long? Size(JsonElement owner, string key) =>
        owner.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var size) && size > 0
            ? size : null;

    private readonly record struct Map(long Inputs, long Outputs)
    {
        public long Weights => Inputs * Outputs;
    }
}
