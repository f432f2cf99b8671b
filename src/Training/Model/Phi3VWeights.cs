namespace Phi3VCluster.Training.Model;

/// <summary>The model's weights by their names in the checkpoint.</summary>
public static class Phi3VWeights
{
    internal const string Vision = "model.vision_embed_tokens.";
    internal const string Tower = Vision + "img_processor.vision_model.";
    internal const string Embedding = "model.embed_tokens.weight";
    internal const string Head = "lm_head";

    internal const string TowerEmbeddingUnit = "tower embedding", ProjectorUnit = "projector";
    internal const string TokenEmbeddingUnit = "token embedding", HeadUnit = "head";

    internal static string TowerLayer(int index) => $"{Tower}encoder.layers.{index}.";

    internal static string DecoderLayer(int index) => $"model.layers.{index}.";

    /// <summary>
    /// All weights in computation order: tower, separators, projector, token embedding, decoder layers, final norm, head. The second
    /// name of the token embedding, <c>model.vision_embed_tokens.wte.weight</c>, is not among them.
    /// </summary>
    public static IReadOnlyList<TensorInfo> List(Phi3VConfig config)
    {
        var (vision, list) = (config.Vision, new List<TensorInfo>());
        long width = config.HiddenSize, merged = 4L * vision.HiddenSize;

        list.Add(new(Tower + "embeddings.class_embedding", [vision.HiddenSize]));
        list.Add(new(Tower + "embeddings.patch_embedding.weight", [vision.HiddenSize, 3, vision.PatchSize, vision.PatchSize]));
        list.Add(new(Tower + "embeddings.position_embedding.weight", [vision.PositionCount, vision.HiddenSize]));
        Norm(Tower + "pre_layrnorm"); // sic
        for (var i = 0; i < vision.LayerCount; i++) AddTowerLayer(TowerLayer(i));
        Norm(Tower + "post_layernorm");

        list.Add(new(Vision + "sub_GN", [1, 1, 1, merged]));
        list.Add(new(Vision + "glb_GN", [1, 1, merged]));
        Linear(Vision + "img_projection.0", width, merged);
        Linear(Vision + "img_projection.2", width, width);

        list.Add(new(Embedding, [config.VocabularySize, width]));
        for (var i = 0; i < config.LayerCount; i++) AddDecoderLayer(DecoderLayer(i));
        list.Add(new("model.norm.weight", [width]));
        list.Add(new(Head + ".weight", [config.VocabularySize, width]));
        return list;

        void AddTowerLayer(string layer)
        {
            Norm(layer + "layer_norm1");
            foreach (var projection in (string[])["q_proj", "k_proj", "v_proj", "out_proj"])
                Linear(layer + "self_attn." + projection, vision.HiddenSize, vision.HiddenSize);
            Norm(layer + "layer_norm2");
            Linear(layer + "mlp.fc1", vision.IntermediateSize, vision.HiddenSize);
            Linear(layer + "mlp.fc2", vision.HiddenSize, vision.IntermediateSize);
        }

        void AddDecoderLayer(string layer)
        {
            list.Add(new(layer + "input_layernorm.weight", [width]));
            list.Add(new(layer + "self_attn.qkv_proj.weight", [width + 2L * config.KeyValueHeadCount * config.HeadSize, width]));
            list.Add(new(layer + "self_attn.o_proj.weight", [width, width]));
            list.Add(new(layer + "post_attention_layernorm.weight", [width]));
            list.Add(new(layer + "mlp.gate_up_proj.weight", [2L * config.IntermediateSize, width]));
            list.Add(new(layer + "mlp.down_proj.weight", [width, config.IntermediateSize]));
        }

        void Norm(string name)
        {
            list.Add(new(name + ".weight", [vision.HiddenSize]));
            list.Add(new(name + ".bias", [vision.HiddenSize]));
        }

        void Linear(string name, long outputs, long inputs)
        {
            list.Add(new(name + ".weight", [outputs, inputs]));
            list.Add(new(name + ".bias", [outputs]));
        }
    }

    /// <summary>
    /// The part of the model whose backward is done at one moment, in computation order: tower embedding, each tower layer, projector with
    /// separators, token embedding, each decoder layer, head with final norm. Adapters belong to the unit of the map they adapt.
    /// </summary>
    /// <param name="name">A weight's or an adapter's, or the beginning of one that says the layer.</param>
    public static string UnitOf(string name)
    {
        const string towerLayers = Tower + "encoder.layers.", decoderLayers = "model.layers.";
        if (name.StartsWith(towerLayers, StringComparison.Ordinal)) return Layer(towerLayers);
        if (name.StartsWith(Tower, StringComparison.Ordinal)) return TowerEmbeddingUnit;
        if (name.StartsWith(Vision, StringComparison.Ordinal)) return ProjectorUnit;
        if (name.StartsWith(decoderLayers, StringComparison.Ordinal)) return Layer(decoderLayers);
        return name == Embedding ? TokenEmbeddingUnit : HeadUnit;

        string Layer(string layers) => layers + name[layers.Length..].Split('.')[0];
    }

    /// <summary>
    /// Whether the forward pass never reads the weight: patch features are taken before the tower's last layer, so that layer and
    /// <c>post_layernorm</c> get no gradient either.
    /// </summary>
    public static bool IsUnused(string name, Phi3VConfig config) =>
        name.StartsWith(TowerLayer(config.Vision.LayerCount - 1), StringComparison.Ordinal)
        || name.StartsWith(Tower + "post_layernorm.", StringComparison.Ordinal);
}
