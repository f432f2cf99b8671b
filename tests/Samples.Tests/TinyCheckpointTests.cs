using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Phi3VCluster.Samples.Tests;

public sealed class TinyCheckpointTests : IDisposable
{
    private const string Vision = "model.vision_embed_tokens";
    private const string Tower = $"{Vision}.img_processor.vision_model";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_file_holds_every_tensor_of_the_architecture_in_its_shape_and_no_other()
    {
        var tensors = Read(_folder.At("model"), new());

        var rows = tensors["lm_head.weight"].Shape[0];
        foreach (var (name, shape) in Expected(rows))
            Assert.Equal(shape, tensors[name].Shape);
        Assert.Equal(Expected(rows).Count, tensors.Count);
    }

    [Fact]
    public void The_weights_at_work_are_a_quarter_of_a_million_and_the_vocabulary()
    {
        var tensors = Read(_folder.At("model"), new());

        var rows = tensors["lm_head.weight"].Shape[0];
        var atWork = tensors.Where(t => !t.Key.StartsWith($"{Tower}.encoder.layers.1.") && !t.Key.StartsWith($"{Tower}.post_layernorm"));
        Assert.Equal(211_584 + 2 * 64 * rows, atWork.Sum(t => t.Value.Values.Length));
    }

    [Fact]
    public void Weights_have_the_measured_spread()
    {
        var tensors = Read(_folder.At("model"), new());
        void Spread(string name, double expected) => Assert.InRange(Deviation(tensors[name].Values) / expected, 0.95, 1.05);

        Spread("model.embed_tokens.weight", 0.1);
        Spread("lm_head.weight", 1 / 8.0);
        Spread("model.layers.1.self_attn.qkv_proj.weight", 1 / 8.0);
        Spread("model.layers.1.self_attn.o_proj.weight", 0.7 / 8);
        Spread("model.layers.0.mlp.gate_up_proj.weight", 1 / 8.0);
        Spread("model.layers.0.mlp.down_proj.weight", 0.2 / Math.Sqrt(128));
        Spread($"{Tower}.embeddings.patch_embedding.weight", 1 / Math.Sqrt(588));
        Spread($"{Tower}.embeddings.position_embedding.weight", 0.3);
        Spread($"{Tower}.encoder.layers.0.self_attn.q_proj.weight", 1 / 8.0);
        Spread($"{Tower}.encoder.layers.0.self_attn.out_proj.weight", 0.7 / 8);
        Spread($"{Tower}.encoder.layers.0.mlp.fc1.weight", 1 / 8.0);
        Spread($"{Tower}.encoder.layers.0.mlp.fc2.weight", 0.2 / Math.Sqrt(128));
        Spread($"{Vision}.img_projection.0.weight", 0.1 / 16);
        Spread($"{Vision}.img_projection.2.weight", 5 / 8.0);
        Assert.All(tensors.Where(t => t.Key.EndsWith(".bias")), t => Assert.All(t.Value.Values, value => Assert.Equal(0, value)));
        var norms = tensors.Where(t => t.Key.Contains("norm") && t.Key.EndsWith(".weight"));
        Assert.All(norms, t => Assert.All(t.Value.Values, value => Assert.Equal(1, value)));
    }

    [Fact]
    public void A_patch_filter_ignores_the_brightness_of_each_colour()
    {
        var filters = Read(_folder.At("model"), TinySizes.Smallest)[$"{Tower}.embeddings.patch_embedding.weight"].Values;

        Assert.Equal(16 * 3 * 196, filters.Length);
        Assert.All(filters.Chunk(196), channel => Assert.InRange(channel.Sum(value => (double)value), -1e-5, 1e-5));
    }

    [Fact]
    public void Numbers_are_the_same_on_every_platform()
    {
        var embedding = Read(_folder.At("model"), new())["model.embed_tokens.weight"].Values;

        // Written down once: whoever changes the random stream changes every measured quickstart.
        Assert.Equal([-0.0046722414f, -0.067489624f, -0.0124221798f], embedding[..3]);
    }

    [Fact]
    public void Sizes_that_fit_no_model_are_refused()
    {
        var error = Assert.Throws<ArgumentException>(() => TinyCheckpoint.Create(_folder.At("model"), seed: 1, new(Hidden: 30)));
        Assert.Contains("got 30 and 4", error.Message);
        Assert.False(Directory.Exists(_folder.At("model")));
    }

    /// <summary>Names and shapes for the default sizes: hidden 64, ffn 128, 4 heads of 16; tower 64, ffn 128, two layers.</summary>
    private static Dictionary<string, int[]> Expected(int rows)
    {
        Dictionary<string, int[]> expected = new()
        {
            ["model.embed_tokens.weight"] = [rows, 64],
            ["model.norm.weight"] = [64],
            ["lm_head.weight"] = [rows, 64],
            [$"{Tower}.embeddings.class_embedding"] = [64],
            [$"{Tower}.embeddings.patch_embedding.weight"] = [64, 3, 14, 14],
            [$"{Tower}.embeddings.position_embedding.weight"] = [577, 64],
            [$"{Vision}.glb_GN"] = [1, 1, 256],
            [$"{Vision}.sub_GN"] = [1, 1, 1, 256],
        };
        void AddWithBias(string module, params int[] shape)
        {
            expected.Add($"{module}.weight", shape);
            expected.Add($"{module}.bias", [shape[0]]);
        }
        AddWithBias($"{Vision}.img_projection.0", 64, 256);
        AddWithBias($"{Vision}.img_projection.2", 64, 64);
        AddWithBias($"{Tower}.pre_layrnorm", 64);
        AddWithBias($"{Tower}.post_layernorm", 64);
        for (var i = 0; i < 2; i++)
        {
            foreach (var norm in (string[])["input_layernorm", "post_attention_layernorm"])
                expected.Add($"model.layers.{i}.{norm}.weight", [64]);
            expected.Add($"model.layers.{i}.self_attn.qkv_proj.weight", [192, 64]);
            expected.Add($"model.layers.{i}.self_attn.o_proj.weight", [64, 64]);
            expected.Add($"model.layers.{i}.mlp.gate_up_proj.weight", [256, 64]);
            expected.Add($"model.layers.{i}.mlp.down_proj.weight", [64, 128]);
            foreach (var norm in (string[])["layer_norm1", "layer_norm2"])
                AddWithBias($"{Tower}.encoder.layers.{i}.{norm}", 64);
            foreach (var projection in (string[])["q_proj", "k_proj", "v_proj", "out_proj"])
                AddWithBias($"{Tower}.encoder.layers.{i}.self_attn.{projection}", 64, 64);
            AddWithBias($"{Tower}.encoder.layers.{i}.mlp.fc1", 128, 64);
            AddWithBias($"{Tower}.encoder.layers.{i}.mlp.fc2", 64, 128);
        }
        return expected;
    }

    /// <summary>Makes a checkpoint and reads it as the format says; ranges must tile the file.</summary>
    private static Dictionary<string, (int[] Shape, float[] Values)> Read(string folder, TinySizes sizes)
    {
        TinyCheckpoint.Create(folder, seed: 1, sizes);
        var bytes = File.ReadAllBytes(Path.Combine(folder, "model.safetensors"));
        var headerBytes = checked((int)BinaryPrimitives.ReadInt64LittleEndian(bytes));
        Assert.Equal(0, headerBytes % 8);
        var header = JsonDocument.Parse(bytes.AsMemory(8, headerBytes)).RootElement;
        var data = bytes.AsMemory(8 + headerBytes);
        var tensors = new Dictionary<string, (int[], float[])>();
        var end = 0;
        foreach (var entry in header.EnumerateObject().Where(e => e.Name != "__metadata__"))
        {
            Assert.Equal("F32", entry.Value.GetProperty("dtype").GetString());
            var shape = entry.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt32()).ToArray();
            var range = entry.Value.GetProperty("data_offsets").EnumerateArray().Select(offset => offset.GetInt32()).ToArray();
            Assert.Equal(end, range[0]);
            end = range[1];
            Assert.Equal(4 * shape.Aggregate(1, (product, size) => product * size), range[1] - range[0]);
            tensors.Add(entry.Name, (shape, MemoryMarshal.Cast<byte, float>(data.Span[range[0]..range[1]]).ToArray()));
        }
        Assert.Equal(data.Length, end);
        return tensors;
    }

    private static double Deviation(float[] values)
    {
        var mean = values.Average();
        return Math.Sqrt(values.Average(value => (value - mean) * (value - mean)));
    }
}
