namespace Phi3VCluster.Samples;

/// <summary>
/// All weights of a small Phi-3-Vision and the start that lets it learn to read within minutes.
/// <para>
/// The standard deviations were found by measuring how much of what differs between two pages reaches the last position: with the
/// usual 1/√fan-in everywhere and token embeddings of 1, what all pages share drowns it (spread over pages / norm of the last hidden
/// state 0.03, and the model never leaves the guessing level); with those below it is 0.24.
/// </para>
/// <para>
/// Patch filters lose their mean over each colour channel's pixels: an evenly coloured patch then gives nothing, and edges all.
/// </para>
/// </summary>
internal sealed class TinyWeights(TinySizes sizes, int vocabulary)
{
    private const string Vision = "model.vision_embed_tokens";
    private const string Tower = $"{Vision}.img_processor.vision_model";

    /// <summary>Sorted by name, as safetensors files usually are. The tied copy of the token embedding is left out.</summary>
    public IReadOnlyList<TinyTensor> All() =>
        [.. Decoder().Concat(TowerEmbeddings()).Concat(TowerLayers()).Concat(Projector()).OrderBy(t => t.Name, StringComparer.Ordinal)];

    private IEnumerable<TinyTensor> Decoder()
    {
        yield return Normal("model.embed_tokens.weight", 0.1, vocabulary, sizes.Hidden);
        for (var i = 0; i < sizes.Layers; i++)
        {
            var layer = $"model.layers.{i}";
            yield return Ones($"{layer}.input_layernorm.weight", sizes.Hidden);
            yield return Matrix($"{layer}.self_attn.qkv_proj", 1, (sizes.Heads + 2 * sizes.KeyValueHeads) * sizes.HeadSize, sizes.Hidden);
            yield return Matrix($"{layer}.self_attn.o_proj", 0.7, sizes.Hidden, sizes.Hidden);
            yield return Ones($"{layer}.post_attention_layernorm.weight", sizes.Hidden);
            yield return Matrix($"{layer}.mlp.gate_up_proj", 1, 2 * sizes.Intermediate, sizes.Hidden);
            yield return Matrix($"{layer}.mlp.down_proj", 0.2, sizes.Hidden, sizes.Intermediate);
        }
        yield return Ones("model.norm.weight", sizes.Hidden);
        yield return Matrix("lm_head", 1, vocabulary, sizes.Hidden);
    }

    private IEnumerable<TinyTensor> TowerEmbeddings()
    {
        const int pixels = TinySizes.Patch * TinySizes.Patch;
        yield return Normal($"{Tower}.embeddings.class_embedding", 0.3, sizes.TowerHidden);
        yield return Normal($"{Tower}.embeddings.patch_embedding.weight", 1 / Math.Sqrt(3 * pixels),
            sizes.TowerHidden, 3, TinySizes.Patch, TinySizes.Patch) with
        { ZeroMeanOver = pixels };
        yield return Normal($"{Tower}.embeddings.position_embedding.weight", 0.3, sizes.TowerPositions, sizes.TowerHidden);
    }

    private IEnumerable<TinyTensor> TowerLayers() =>
    [
        .. LayerNorm($"{Tower}.pre_layrnorm"), // spelt so in CLIP
        .. Enumerable.Range(0, sizes.TowerLayers).SelectMany(i => TowerLayer($"{Tower}.encoder.layers.{i}")),
        .. LayerNorm($"{Tower}.post_layernorm"),
    ];

    private IEnumerable<TinyTensor> TowerLayer(string layer) =>
    [
        .. LayerNorm($"{layer}.layer_norm1"),
        .. Linear($"{layer}.self_attn.q_proj", 1, sizes.TowerHidden, sizes.TowerHidden),
        .. Linear($"{layer}.self_attn.k_proj", 1, sizes.TowerHidden, sizes.TowerHidden),
        .. Linear($"{layer}.self_attn.v_proj", 1, sizes.TowerHidden, sizes.TowerHidden),
        .. Linear($"{layer}.self_attn.out_proj", 0.7, sizes.TowerHidden, sizes.TowerHidden),
        .. LayerNorm($"{layer}.layer_norm2"),
        .. Linear($"{layer}.mlp.fc1", 1, sizes.TowerIntermediate, sizes.TowerHidden),
        .. Linear($"{layer}.mlp.fc2", 0.2, sizes.TowerHidden, sizes.TowerIntermediate),
    ];

    private IEnumerable<TinyTensor> Projector() =>
    [
        Normal($"{Vision}.glb_GN", 0.3, 1, 1, sizes.MergedPatch),
        Normal($"{Vision}.sub_GN", 0.3, 1, 1, 1, sizes.MergedPatch),
        .. Linear($"{Vision}.img_projection.0", 0.1, sizes.Hidden, sizes.MergedPatch),
        .. Linear($"{Vision}.img_projection.2", 5, sizes.Hidden, sizes.Hidden),
    ];

    private IEnumerable<TinyTensor> LayerNorm(string module) =>
        [Ones($"{module}.weight", sizes.TowerHidden), Zeros($"{module}.bias", sizes.TowerHidden)];

    private static IEnumerable<TinyTensor> Linear(string module, double gain, int outputs, int inputs) =>
        [Matrix(module, gain, outputs, inputs), Zeros($"{module}.bias", outputs)];

    private static TinyTensor Matrix(string module, double gain, int outputs, int inputs) =>
        Normal($"{module}.weight", gain / Math.Sqrt(inputs), outputs, inputs);

    private static TinyTensor Normal(string name, double deviation, params int[] shape) => new(name, shape, deviation);

    private static TinyTensor Ones(string name, int size) => new(name, [size], Deviation: 0, Mean: 1);

    private static TinyTensor Zeros(string name, int size) => new(name, [size], Deviation: 0);
}
