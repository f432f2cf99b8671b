using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>Trained adapters on maps of a <see cref="TinyModel"/>, with updates that are not zero.</summary>
internal static class TinyAdapters
{
    private const int Rank = 3;

    /// <summary>With a bias and without, of tower, projector, decoder and head.</summary>
    public static IReadOnlyList<string> Everywhere { get; } =
    [
        "model.vision_embed_tokens.img_processor.vision_model.encoder.layers.0.self_attn.q_proj",
        "model.vision_embed_tokens.img_processor.vision_model.encoder.layers.1.mlp.fc2",
        "model.vision_embed_tokens.img_projection.0", "model.layers.0.self_attn.qkv_proj", "model.layers.1.mlp.down_proj",
        "model.layers.2.self_attn.o_proj", "model.layers.2.mlp.gate_up_proj", "lm_head",
    ];

    public static IReadOnlyList<string> InDecoder { get; } =
    [
        .. from layer in Enumerable.Range(0, TinyModel.Config.LayerCount)
           from map in (string[])["self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"]
           select $"model.layers.{layer}.{map}",
    ];

    /// <returns>The trained tensors by name.</returns>
    public static Dictionary<string, Tensor> Attach(
        ModelWeights weights, IEnumerable<string> modules, double dropout = 0, bool dora = false)
    {
        var trained = new Dictionary<string, Tensor>();
        foreach (var module in modules)
        {
            var lengths = weights.RowNorms(module);
            var shape = Phi3VWeights.List(TinyModel.Config).Single(info => info.Name == module + ".weight").Shape;
            var a = Leaf("A", TinyModel.Random(module + " A", Rank, shape[1]) * 0.3);
            var b = Leaf("B", TinyModel.Random(module + " B", shape[0], Rank) * 0.3);
            weights.Attach(module, new(a, b, 0.5)
            {
                Dropout = dropout,
                Magnitude = dora ? Leaf("m", lengths * (1 + 0.1 * TinyModel.Random(module + " m", shape[0]))) : null,
            });

            Tensor Leaf(string part, Tensor value) => trained[$"{module} {part}"] = value.requires_grad_();
        }
        return trained;
    }
}
