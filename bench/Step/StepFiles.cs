using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Model;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Step;

/// <param name="Vocabulary">The released models' own: the head costs what it costs there.</param>
internal sealed record StepSizes(
    int Hidden = 512, int Intermediate = 1408, int Layers = 8, int Heads = 8, int Vocabulary = 32064,
    int TowerHidden = 256, int TowerIntermediate = 1024, int TowerLayers = 6, int TowerHeads = 4)
{
    /// <summary>The released models': 4.15 billion parameters.</summary>
    public static StepSizes Released { get; } = Of(ModelSizes.Released);

    /// <param name="model">Without the tower's last layer, which a checkpoint has and nothing runs.</param>
    private static StepSizes Of(ModelSizes model) => new(
        (int)model.Width, (int)model.Intermediate, (int)model.Layers, (int)model.Heads, (int)model.Vocabulary,
        (int)model.TowerWidth, (int)model.TowerIntermediate, (int)model.TowerLayers + 1, (int)model.TowerHeads);
}

/// <summary>What all contenders read: a Hugging Face checkpoint with random weights, the samples, and a fresh adapter for LoRA.</summary>
internal sealed record StepFiles(string Folder, StepSizes Sizes)
{
    public const int Rank = 32, Alpha = 64;

    public string Checkpoint => Path.Combine(Folder, "checkpoint");
    public string Samples => Path.Combine(Folder, "samples");
    public string Adapter => Path.Combine(Folder, "adapter"); // as TrainedModel.Export names it

    public static StepFiles Create(string folder, StepSizes sizes, int samples)
    {
        var files = CreateCheckpoint(folder, sizes, ScalarType.Float32);
        StepSamples.Write(files.Samples, StepSamples.Make(samples, sizes.Vocabulary));
        using var adapted = TrainedModel.Load(new()
        {
            Model = new() { Path = files.Checkpoint },
            Method = new() { Kind = "lora", Rank = Rank, Alpha = Alpha },
        }, RankCompute.Plain);
        adapted.Export(folder, adapted.Parameters.Values);
        return files;
    }

    /// <summary>The checkpoint alone, a tensor in memory at a time.</summary>
    public static StepFiles CreateCheckpoint(string folder, StepSizes sizes, ScalarType stored)
    {
        var files = new StepFiles(folder, sizes);
        Directory.CreateDirectory(files.Checkpoint);
        File.WriteAllText(Path.Combine(files.Checkpoint, "config.json"), JsonSerializer.Serialize(Config(sizes)));
        using var generator = new Generator(1);
        var weights = Phi3VWeights.List(Phi3VConfig.Read(files.Checkpoint));
        SafeTensorsWriter.Write(Path.Combine(files.Checkpoint, "model.safetensors"),
            weights.Select(weight => new StoredTensor(weight, stored, () => Draw(weight, generator))));
        return files;
    }

    /// <summary>Activations of order one: vectors 0 or 1, matrices with deviation 1/√(inputs).</summary>
    private static Tensor Draw(TensorInfo weight, Generator generator) => weight.Shape.Length == 1
        ? full(weight.Shape, weight.Name.EndsWith("bias", StringComparison.Ordinal) ? 0f : 1f)
        : randn(weight.Shape, generator: generator) / Math.Sqrt(weight.Shape.Skip(1).Aggregate(1L, (product, size) => product * size));

    private static object Config(StepSizes sizes)
    {
        var factors = Enumerable.Repeat(1.0, sizes.Hidden / sizes.Heads / 2).ToArray();
        return new
        {
            architectures = new[] { "Phi3VForCausalLM" },
            embd_layer = new
            {
                embedding_cls = "image",
                hd_transform_order = "sub_glb",
                projection_cls = "mlp",
                use_hd_transform = true,
                with_learnable_separator = true,
            },
            hidden_act = "silu",
            hidden_size = sizes.Hidden,
            img_processor = new { image_dim_out = sizes.TowerHidden, name = "clip_vision_model", num_img_tokens = 144 },
            intermediate_size = sizes.Intermediate,
            max_position_embeddings = 131072,
            model_type = "phi3_v",
            num_attention_heads = sizes.Heads,
            num_hidden_layers = sizes.Layers,
            num_key_value_heads = sizes.Heads,
            original_max_position_embeddings = 4096,
            pad_token_id = (int?)null,
            rms_norm_eps = 1e-5,
            rope_scaling = new { type = "su", short_factor = factors, long_factor = factors },
            rope_theta = 10000.0,
            sliding_window = 131072,
            tie_word_embeddings = false,
            vision_config = new
            {
                hidden_size = sizes.TowerHidden,
                intermediate_size = sizes.TowerIntermediate,
                num_hidden_layers = sizes.TowerLayers,
                num_attention_heads = sizes.TowerHeads,
                patch_size = 14,
                image_size = 336,
                layer_norm_eps = 1e-5,
            },
            vocab_size = sizes.Vocabulary,
        };
    }
}
