using Phi3VCluster.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>
/// The model's definition written down once more, the plain way: whole sequences, explicit masks and softmax, one loop a layer, gradients
/// by autograd. Slow, and shares nothing with the product but names and shapes of the weights.
/// </summary>
internal sealed class PlainPhi3V(Phi3VConfig config, ModelWeights weights)
{
    private const string Vision = "model.vision_embed_tokens.", Tower = Vision + "img_processor.vision_model.";

    /// <returns>Every layer's output [L, D], and the logits [L, V].</returns>
    public (List<Tensor> Layers, Tensor Logits) Forward(ModelInput input)
    {
        var x = Embed(input);
        var (cos, sin) = Rotation(input.Ids.Length);
        var layers = new List<Tensor>();
        for (var i = 0; i < config.LayerCount; i++) layers.Add(x = Layer(x, $"model.layers.{i}.", cos, sin));
        return (layers, RmsNorm(x, "model.norm").mm(weights["lm_head.weight"].t()));
    }

    /// <summary>Mean over the positions whose next label counts.</summary>
    public static Tensor Loss(Tensor logits_LV, long[] labels) =>
        nn.functional.cross_entropy(logits_LV[..^1], tensor(labels[1..]), ignore_index: ModelInput.Ignored);

    private Tensor Embed(ModelInput input)
    {
        var ids = input.Ids.Select(id => Math.Max(id, 0)).ToArray();
        var rows = weights["model.embed_tokens.weight"].index_select(0, tensor(ids));
        var learns = tensor(ids).ne(config.PaddingId!.Value).unsqueeze(1); // the padding id's row takes no gradient
        var text = where(learns, rows, rows.detach());
        if (input.Images.Count == 0) return text;
        var image = cat([.. input.Images.Select(ImageTokens)], 0);
        var next = 0;
        return stack(input.Ids.Select((id, i) => id < 0 ? image[next++] : text[i]), 0);
    }

    private Tensor ImageTokens(ImageCrops image)
    {
        var crops = image.Crops.shape[0] == 1 ? cat([image.Crops, image.Crops], 0) : image.Crops;
        var (width, rows, columns) = (config.Vision.HiddenSize, image.Rows, image.Columns);
        var merged = Patches(crops).view(-1, 12, 2, 12, 2, width).permute(0, 1, 3, 2, 4, 5).reshape(-1, 12, 12, 4 * width);
        var local = merged[1..].view(rows, columns, 12, 12, 4 * width).permute(0, 2, 1, 3, 4).reshape(rows * 12, columns * 12, 4 * width);
        var tokens = cat([Lines(local), weights[Vision + "glb_GN"].view(1, -1), Lines(merged[0])], 0);
        return Linear(nn.functional.gelu(Linear(tokens, Vision + "img_projection.0")), Vision + "img_projection.2");
    }

    private Tensor Lines(Tensor grid_RCW)
    {
        var end = weights[Vision + "sub_GN"].view(1, 1, -1).expand(grid_RCW.shape[0], 1, -1);
        return cat([grid_RCW, end], 1).reshape(-1, grid_RCW.shape[2]);
    }

    /// <summary>The last tower layer's input without the class token, [crops, 576, width].</summary>
    private Tensor Patches(Tensor crops)
    {
        var tower = config.Vision;
        var patches = nn.functional.conv2d(crops, weights[Tower + "embeddings.patch_embedding.weight"], strides: [14, 14])
            .flatten(2).transpose(1, 2);
        var first = weights[Tower + "embeddings.class_embedding"].expand(crops.shape[0], 1, tower.HiddenSize);
        var x = cat([first, patches], 1) + weights[Tower + "embeddings.position_embedding.weight"];
        x = LayerNorm(x, Tower + "pre_layrnorm");
        for (var i = 0; i < tower.LayerCount - 1; i++)
        {
            var name = $"{Tower}encoder.layers.{i}.";
            var normed = LayerNorm(x, name + "layer_norm1");
            var (q, k, v) = (Heads("q_proj"), Heads("k_proj"), Heads("v_proj"));
            var scores = q.matmul(k.transpose(2, 3)) / Math.Sqrt(tower.HiddenSize / tower.HeadCount);
            x = x + Linear(scores.softmax(-1).matmul(v).transpose(1, 2).flatten(2), name + "self_attn.out_proj");
            var wide = Linear(LayerNorm(x, name + "layer_norm2"), name + "mlp.fc1");
            x = x + Linear(wide * (wide * 1.702).sigmoid(), name + "mlp.fc2");

            Tensor Heads(string map) => Linear(normed, name + "self_attn." + map).unflatten(2, [tower.HeadCount, -1]).transpose(1, 2);
        }
        return x[.., 1..];
    }

    private Tensor Layer(Tensor x, string name, Tensor cos, Tensor sin)
    {
        int heads = config.HeadCount, kvHeads = config.KeyValueHeadCount, size = config.HeadSize;
        var packed = RmsNorm(x, name + "input_layernorm").mm(weights[name + "self_attn.qkv_proj.weight"].t());
        var q = Rotate(packed[.., ..(heads * size)].view(-1, heads, size).transpose(0, 1));
        var k = Rotate(packed[.., (heads * size)..((heads + kvHeads) * size)].view(-1, kvHeads, size).transpose(0, 1));
        var v = packed[.., ((heads + kvHeads) * size)..].view(-1, kvHeads, size).transpose(0, 1);
        (k, v) = (k.repeat_interleave(heads / kvHeads, 0), v.repeat_interleave(heads / kvHeads, 0));
        var future = full(x.shape[0], x.shape[0], float.NegativeInfinity).triu(1);
        var attended = (q.matmul(k.transpose(1, 2)) / Math.Sqrt(size) + future).softmax(-1).matmul(v);
        x = x + attended.transpose(0, 1).flatten(1).mm(weights[name + "self_attn.o_proj.weight"].t());
        var gateUp = RmsNorm(x, name + "post_attention_layernorm").mm(weights[name + "mlp.gate_up_proj.weight"].t());
        var (gate, up) = (gateUp[.., ..config.IntermediateSize], gateUp[.., config.IntermediateSize..]);
        return x + (up * gate * gate.sigmoid()).mm(weights[name + "mlp.down_proj.weight"].t());

        Tensor Rotate(Tensor t) => t * cos + cat([-t[.., .., (size / 2)..], t[.., .., ..(size / 2)]], 2) * sin;
    }

    /// <summary>Cosines and sines [L, head size], in float64 up to the end.</summary>
    private (Tensor Cos, Tensor Sin) Rotation(int length)
    {
        var scaling = config.RopeScaling!;
        var factors = length > config.OriginalMaxPositions ? scaling.LongFactors : scaling.ShortFactors;
        var stretch = (double)config.MaxPositions / config.OriginalMaxPositions;
        var magnitude = Math.Sqrt(1 + Math.Log(stretch) / Math.Log(config.OriginalMaxPositions));
        var (cos, sin) = (new float[length, config.HeadSize], new float[length, config.HeadSize]);
        for (var position = 0; position < length; position++)
            for (var i = 0; i < config.HeadSize; i++)
            {
                var pair = i % (config.HeadSize / 2);
                var angle = position / (factors[pair] * Math.Pow(config.RopeTheta, 2.0 * pair / config.HeadSize));
                (cos[position, i], sin[position, i]) = ((float)(magnitude * Math.Cos(angle)), (float)(magnitude * Math.Sin(angle)));
            }
        return (tensor(cos), tensor(sin));
    }

    private Tensor RmsNorm(Tensor x, string name) =>
        x * (x.square().mean([-1], keepdim: true) + config.RmsNormEpsilon).rsqrt() * weights[name + ".weight"];

    private Tensor LayerNorm(Tensor x, string name)
    {
        var centred = x - x.mean([-1], keepdim: true);
        var scale = (centred.square().mean([-1], keepdim: true) + config.Vision.LayerNormEpsilon).rsqrt();
        return centred * scale * weights[name + ".weight"] + weights[name + ".bias"];
    }

    private Tensor Linear(Tensor x, string name) => x.matmul(weights[name + ".weight"].t()) + weights[name + ".bias"];
}
