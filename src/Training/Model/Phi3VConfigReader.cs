using System.Text;
using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Model;

/// <summary>Turns config.json into a <see cref="Phi3VConfig"/>, gathering everything that is wrong with it.</summary>
internal sealed class Phi3VConfigReader
{
    private readonly string _where;
    private readonly List<string> _problems = [];

    private Phi3VConfigReader(string where) => _where = where;

    /// <exception cref="InputException">As <see cref="Phi3VConfig.Read"/>.</exception>
    public static Phi3VConfig Read(string path)
    {
        if (!File.Exists(path)) throw new InputException($"{path}: there is no such file; give the folder of a Phi-3-Vision checkpoint.");
        return Parse(File.ReadAllText(path), path);
    }

    /// <exception cref="InputException">As <see cref="Phi3VConfig.Read"/>.</exception>
    public static Phi3VConfig Parse(string json, string where)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var reader = new Phi3VConfigReader(where);
            var config = reader.Model(document.RootElement);
            return reader._problems.Count == 0 ? config : throw new InputException(reader._problems);
        }
        catch (JsonException error)
        {
            throw new InputException(FileSignature.InPlaceOfModel(Encoding.UTF8.GetBytes(json)) is { } foreign
                ? $"{where}: {foreign}"
                : $"{where}: is not JSON ({error.Message}); copy the file from the original checkpoint.");
        }
    }

    private Phi3VConfig Model(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            Problem("", "must be an object", root.ValueKind.ToString(), "copy the file from the original checkpoint");
            root = JsonDocument.Parse("{}").RootElement;
        }
        if (Find(root, "quantization_config") is { ValueKind: not JsonValueKind.Null } quantization)
        {
            var by = Text(quantization, "quant_method");
            var name = by == "nothing" ? "" : $", {by}";
            throw new InputException($"{_where}: the weights are quantised already (quantization_config{name}); "
                + "give the 16- or 32-bit checkpoint they were made from; method.kind: qlora makes 4 bits of it.");
        }
        var hasVision = root.TryGetProperty("vision_config", out var vision) && vision.ValueKind == JsonValueKind.Object;
        Architecture(root, hasVision);
        var config = new Phi3VConfig
        {
            HiddenSize = Size(root, "hidden_size", null),
            IntermediateSize = Size(root, "intermediate_size", null),
            LayerCount = Size(root, "num_hidden_layers", null),
            HeadCount = Size(root, "num_attention_heads", null),
            KeyValueHeadCount = Size(root, "num_key_value_heads", Size(root, "num_attention_heads", null)),
            VocabularySize = Size(root, "vocab_size", null),
            PaddingId = Padding(root),
            RmsNormEpsilon = Number(root, "rms_norm_eps", 1e-5),
            RopeTheta = Number(root, "rope_theta", 10000),
            MaxPositions = Size(root, "max_position_embeddings", 131072),
            OriginalMaxPositions = Size(root, "original_max_position_embeddings", 4096),
            Vision = hasVision ? Tower(vision) : new VisionConfig(),
        };
        config = config with { RopeScaling = Rope(root, config) };
        Proportions(config, root);
        return config;
    }

    private static VisionConfig Defaults { get; } = new();

    private VisionConfig Tower(JsonElement vision) => new()
    {
        HiddenSize = Size(vision, "hidden_size", Defaults.HiddenSize, "vision_config."),
        IntermediateSize = Size(vision, "intermediate_size", Defaults.IntermediateSize, "vision_config."),
        LayerCount = Size(vision, "num_hidden_layers", Defaults.LayerCount, "vision_config."),
        HeadCount = Size(vision, "num_attention_heads", Defaults.HeadCount, "vision_config."),
        PatchSize = Size(vision, "patch_size", Defaults.PatchSize, "vision_config."),
        ImageSize = Size(vision, "image_size", Defaults.ImageSize, "vision_config."),
        LayerNormEpsilon = Number(vision, "layer_norm_eps", Defaults.LayerNormEpsilon, "vision_config."),
    };

    private void Architecture(JsonElement root, bool hasVision)
    {
        Must(root, "model_type", "phi3_v", required: true);
        Must(root, "hidden_act", "silu");
        Must(root, "tie_word_embeddings", "false");
        foreach (var dropout in (string[])["attention_dropout", "resid_pdrop", "embd_pdrop"])
        {
            if (Number(root, dropout, 0) != 0) Problem(dropout, "dropout is not supported", Text(root, dropout), "set it to 0");
        }
        Must(root, "embd_layer.embedding_cls", "image");
        Must(root, "embd_layer.projection_cls", "mlp", required: true);
        Must(root, "embd_layer.use_hd_transform", "true", required: true);
        Must(root, "embd_layer.with_learnable_separator", "true", required: true);
        Must(root, "embd_layer.hd_transform_order", "sub_glb", required: true);
        Must(root, "img_processor.name", "clip_vision_model", required: true);
        Must(root, "img_processor.num_img_tokens", "144");
        if (!hasVision) Must(root, "img_processor.model_name", "openai/clip-vit-large-patch14-336");
    }

    private long? Padding(JsonElement root)
    {
        if (!root.TryGetProperty("pad_token_id", out var value)) return 32000; // the original configuration's default
        if (value.ValueKind == JsonValueKind.Null) return null;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var id) && id >= 0) return id;
        Problem("pad_token_id", "must be a token id or null", value.GetRawText(), "copy it from the original config.json");
        return null;
    }

    private RopeScaling? Rope(JsonElement root, Phi3VConfig config)
    {
        if (!root.TryGetProperty("rope_scaling", out var scaling) || scaling.ValueKind == JsonValueKind.Null) return null;
        // The later name since transformers 4.43, beside the old one or alone.
        var (old, later) = (Text(root, "rope_scaling.type"), Text(root, "rope_scaling.rope_type"));
        var type = old == "nothing" ? later : old;
        if (old != "nothing" && later != "nothing" && Same(old) != Same(later))
            Problem("rope_scaling.rope_type", $"must be rope_scaling.type {old}", later, "copy rope_scaling from the original config.json");
        if (type == "default") return null;
        if (type is not ("su" or "longrope" or "yarn"))
            Problem("rope_scaling.type", "is not supported", type, "use su, longrope, yarn, or rope_scaling: null");
        return new(type == "yarn" ? RopeKind.Yarn : RopeKind.Su, Factors("short_factor"), Factors("long_factor"));

        static string Same(string type) => type == "su" ? "longrope" : type;

        double[] Factors(string name)
        {
            var expected = config.HeadCount > 0 ? config.HeadSize / 2 : 0;
            if (Find(root, "rope_scaling." + name) is { ValueKind: JsonValueKind.Array } list
                && list.EnumerateArray().All(x => x.ValueKind == JsonValueKind.Number && x.GetDouble() > 0)
                && list.GetArrayLength() == expected)
                return [.. list.EnumerateArray().Select(x => x.GetDouble())];
            Problem($"rope_scaling.{name}", $"must be {expected} positive numbers, half of a head's size",
                Text(root, "rope_scaling." + name), "copy it from the original config.json");
            return [];
        }
    }

    private void Proportions(Phi3VConfig config, JsonElement root)
    {
        if (_problems.Count > 0) return; // the sizes are not all there
        var vision = config.Vision;
        Divides("hidden_size", config.HiddenSize, "num_attention_heads", config.HeadCount);
        Divides("num_attention_heads", config.HeadCount, "num_key_value_heads", config.KeyValueHeadCount);
        Divides("vision_config.hidden_size", vision.HiddenSize, "vision_config.num_attention_heads", vision.HeadCount);
        if (config.HeadSize % 2 != 0)
            Problem("hidden_size", "must make heads of an even size", $"{config.HeadSize}", "change num_attention_heads");
        if (vision is not { ImageSize: 336, PatchSize: 14 })
            Problem("vision_config", "must have image_size 336 and patch_size 14",
                $"{vision.ImageSize} and {vision.PatchSize}", "change them");
        if (Find(root, "img_processor.image_dim_out") is { ValueKind: JsonValueKind.Number } width && width.GetInt32() != vision.HiddenSize)
            Problem("img_processor.image_dim_out", $"must be the tower's hidden size {vision.HiddenSize}",
                width.GetRawText(), "make them equal");
        if (Find(root, "sliding_window") is { ValueKind: JsonValueKind.Number } window && window.GetInt64() < config.MaxPositions)
            Problem("sliding_window", $"must not be below max_position_embeddings {config.MaxPositions}",
                window.GetRawText(), "lower max_position_embeddings");
    }

    private void Divides(string name, int value, string byName, int by)
    {
        if (value % by != 0) Problem(name, $"must be a multiple of {byName} {by}", $"{value}", "change one of them");
    }

    private void Must(JsonElement root, string path, string value, bool required = false)
    {
        var got = Text(root, path);
        if (got != value && (required || got != "nothing")) Problem(path, "is not supported", got, $"use {value}");
    }

    private int Size(JsonElement parent, string name, int? fallback, string prefix = "")
    {
        if (!parent.TryGetProperty(name, out var value) && fallback is { } known) return known;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var size) && size > 0) return size;
        var got = value.ValueKind == JsonValueKind.Undefined ? "nothing" : value.GetRawText();
        if (!_problems.Any(p => p.StartsWith($"{_where}: {prefix}{name} ", StringComparison.Ordinal)))
            Problem(prefix + name, "must be a whole number above 0", got, "copy it from the original config.json");
        return 1;
    }

    private double Number(JsonElement parent, string name, double fallback, string prefix = "")
    {
        if (!parent.TryGetProperty(name, out var value)) return fallback;
        if (value.ValueKind == JsonValueKind.Number && value.GetDouble() >= 0) return value.GetDouble();
        Problem(prefix + name, "must be a number from 0 up", value.GetRawText(), "copy it from the original config.json");
        return fallback;
    }

    private static JsonElement? Find(JsonElement element, string path)
    {
        foreach (var name in path.Split('.'))
        {
            if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(name, out element)) return null;
        }
        return element;
    }

    private static string Text(JsonElement root, string path) => Find(root, path) switch
    {
        null => "nothing",
        { ValueKind: JsonValueKind.String } text => text.GetString()!,
        { } other => other.GetRawText(),
    };

    private static string Shorten(string text)
    {
        var line = string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)); // lists come over many lines
        return line.Length <= 60 ? line : line[..60] + "…";
    }

    private void Problem(string path, string what, string got, string doThis) =>
        _problems.Add($"{_where}: {path}{(path.Length > 0 ? " " : "")}{what}, got {Shorten(got)}; {doThis}.");
}
