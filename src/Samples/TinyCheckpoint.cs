using Phi3VCluster.Spec;
namespace Phi3VCluster.Samples;

/// <summary>
/// An untrained Phi-3-Vision small enough for a laptop's CPU, as a Hugging Face folder. Whole architecture, float32; only the numbers
/// in <c>config.json</c> are smaller, with the tower's in <c>vision_config</c>.
/// </summary>
public static class TinyCheckpoint
{
    /// <summary>The same seed and sizes give the same bytes on every platform.</summary>
    /// <returns>The folder's full path.</returns>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    /// <exception cref="IOException">The folder exists and is not empty.</exception>
    public static string Create(string folder, int seed, TinySizes? sizes = null)
    {
        sizes ??= new();
        sizes.Validate();
        var tokenizer = new TinyTokenizer();
        AtomicFolder.Fill(folder, partial =>
        {
            new TinyTokenizerFiles(tokenizer).Write(partial);
            Json.Write(Path.Combine(partial, "config.json"), Config(sizes, tokenizer));
            Json.Write(Path.Combine(partial, "preprocessor_config.json"), Preprocessor(sizes));
            var weights = new TinyWeights(sizes, tokenizer.VocabularySize).All();
            TinySafetensors.Write(Path.Combine(partial, "model.safetensors"), [.. weights.Select(w => (w, w.Values(seed)))]);
        });
        return Path.GetFullPath(folder);
    }

    private static object Config(TinySizes sizes, TinyTokenizer tokenizer)
    {
        var factors = Enumerable.Repeat(1.0, sizes.HeadSize / 2).ToArray();
        return new
        {
            architectures = new[] { "Phi3VForCausalLM" },
            attention_dropout = 0.0,
            bos_token_id = tokenizer.IdOf("<s>"),
            embd_layer = new
            {
                embedding_cls = "image",
                hd_transform_order = "sub_glb",
                projection_cls = "mlp",
                use_hd_transform = true,
                with_learnable_separator = true,
            },
            eos_token_id = tokenizer.IdOf(TinyTokenizer.EndOfText),
            hidden_act = "silu",
            hidden_size = sizes.Hidden,
            img_processor = new
            {
                image_dim_out = sizes.TowerHidden,
                model_name = "openai/clip-vit-large-patch14-336",
                name = "clip_vision_model",
                num_img_tokens = 144,
            },
            initializer_range = 0.02,
            intermediate_size = sizes.Intermediate,
            max_position_embeddings = 131072,
            model_type = "phi3_v",
            num_attention_heads = sizes.Heads,
            num_hidden_layers = sizes.Layers,
            num_key_value_heads = sizes.KeyValueHeads,
            original_max_position_embeddings = 4096,
            pad_token_id = tokenizer.IdOf(TinyTokenizer.EndOfText),
            rms_norm_eps = 1e-5,
            rope_scaling = new { type = "su", short_factor = factors, long_factor = factors },
            rope_theta = 10000.0,
            sliding_window = 131072,
            tie_word_embeddings = false,
            torch_dtype = "float32",
            transformers_version = "4.38.1",
            use_cache = true,
            vision_config = new
            {
                hidden_size = sizes.TowerHidden,
                intermediate_size = sizes.TowerIntermediate,
                num_hidden_layers = sizes.TowerLayers,
                num_attention_heads = sizes.TowerHeads,
                patch_size = TinySizes.Patch,
                image_size = TinySizes.Image,
                layer_norm_eps = 1e-5,
            },
            vocab_size = tokenizer.VocabularySize,
        };
    }

    private static object Preprocessor(TinySizes sizes) => new
    {
        num_crops = sizes.NumCrops,
        image_mean = new[] { 0.48145466, 0.4578275, 0.40821073 },
        image_processor_type = "Phi3VImageProcessor",
        image_std = new[] { 0.26862954, 0.26130258, 0.27577711 },
        processor_class = "Phi3VProcessor",
        num_img_tokens = 144,
    };
}
