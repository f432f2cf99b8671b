namespace Phi3VCluster.Training.Methods;

/// <summary>What the recipe's rules say about a weight, by its name in the checkpoint.</summary>
internal static class WeightRules
{
    private const string Suffix = ".weight", ImageEmbedding = "model.vision_embed_tokens.";

    private static readonly string[] ClipLayerNorms = ["pre_layrnorm", "layer_norm1", "layer_norm2", "post_layernorm"];

    private static readonly HashSet<string> AdaptedLinears =
    [
        "qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head",   // decoder
        "q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2",         // CLIP tower
    ];

    /// <summary>The name without <c>.weight</c>; other names (biases, separators, embeddings) stand for themselves.</summary>
    public static string ModuleOf(string name) =>
        name.EndsWith(Suffix, StringComparison.Ordinal) ? name[..^Suffix.Length] : name;

    /// <summary>
    /// Hugging Face's rule: all weights decay but those of <c>nn.LayerNorm</c> (the CLIP tower's; the decoder's RMSNorm is none)
    /// and names with "bias".
    /// </summary>
    public static bool Decays(string name) =>
        !name.Contains("bias", StringComparison.Ordinal) && !name.Split('.').Any(ClipLayerNorms.Contains);

    /// <summary>Whether LoRA adapts it: the matrix of a linear layer of decoder, tower or projector.</summary>
    public static bool IsAdapted(TensorInfo weight)
    {
        if (weight.Shape.Length != 2 || !weight.Name.EndsWith(Suffix, StringComparison.Ordinal)) return false;
        var parts = ModuleOf(weight.Name).Split('.');
        return AdaptedLinears.Contains(parts[^1]) || (parts.Length > 1 && parts[^2] == "img_projection");
    }

    /// <summary>CLIP tower, projector, separators.</summary>
    public static bool IsVision(string name) => PartOf(name) is ModelPart.VisionTower or ModelPart.Projector;

    /// <param name="name">Of a weight or of its module.</param>
    public static ModelPart PartOf(string name)
    {
        if (name.StartsWith(ImageEmbedding + "img_processor.", StringComparison.Ordinal)) return ModelPart.VisionTower;
        if (name.StartsWith(ImageEmbedding, StringComparison.Ordinal)) return ModelPart.Projector;
        if (name.StartsWith("model.embed_tokens", StringComparison.Ordinal)) return ModelPart.TokenEmbedding;
        return name.StartsWith("model.layers.", StringComparison.Ordinal) ? ModelPart.Decoder : ModelPart.Head;
    }
}
