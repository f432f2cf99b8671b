using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>
/// What a checkpoint's folder holds beside the weights: configuration, tokenizer, image processor, code, licence. Copied by name, so that
/// nothing else comes along: a trainer's state, or an <c>adapter_config.json</c>, which makes transformers look for an adapter.
/// </summary>
internal static partial class ModelFiles
{
    public const string Processor = "preprocessor_config.json";

    private const string Config = "config.json", Crops = "num_crops";

    private static readonly HashSet<string> Named = new(StringComparer.Ordinal)
    {
        Config, "generation_config.json", Processor, "processor_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
        "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.json", "chat_template.jinja",
    };

    private static readonly string[] Texts = ["LICENSE", "LICENCE", "NOTICE", "COPYING"];
    private static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <param name="type">What config.json is to name as the weights' type; null leaves it.</param>
    /// <param name="numCrops">What the image processor's file is to say; null leaves it.</param>
    public static void Copy(string source, string target, ScalarType? type, int? numCrops)
    {
        foreach (var name in Names(source)) File.Copy(Path.Combine(source, name), Path.Combine(target, name), overwrite: true);
        if (type is { } stored) Edit(Path.Combine(target, Config), config => NameType(config, stored.ToString().ToLowerInvariant()));
        if (numCrops is { } crops) SetCrops(Path.Combine(target, Processor), crops);
    }

    /// <summary>Those that <see cref="Copy"/> takes.</summary>
    public static IReadOnlyList<string> Names(string source)
    {
        string[] files = [.. Directory.EnumerateFiles(source).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)];
        return [.. files.Where(IsOfModel).Concat(Code(source, files)).Distinct()];
    }

    /// <summary>The image processor's file alone: an adapter must be used with the crops it was trained with.</summary>
    public static void CopyProcessor(string source, string target, int numCrops)
    {
        var (from, to) = (Path.Combine(source, Processor), Path.Combine(target, Processor));
        if (File.Exists(from)) File.Copy(from, to, overwrite: true);
        if (!SetCrops(to, numCrops)) File.WriteAllText(to, new JsonObject { [Crops] = numCrops }.ToJsonString(Indented));
        AutoMap.PointToCode(target);
    }

    /// <summary>Changes a JSON object in place; the file is only written where that changed it.</summary>
    /// <returns>False where there is no such file.</returns>
    public static bool Edit(string path, Action<JsonObject> change)
    {
        if (Read(path) is not { } json) return false;
        var before = json.ToJsonString();
        change(json);
        if (json.ToJsonString() == before) return true;
        File.Delete(path); // a copy of a file that may not be written may not be written either
        File.WriteAllText(path, json.ToJsonString(Indented));
        return true;
    }

    /// <returns>Null where there is no such file, or no JSON object in it: whoever needs it says so.</returns>
    public static JsonObject? Read(string path)
    {
        try
        {
            return File.Exists(path) ? JsonNode.Parse(File.ReadAllText(path)) as JsonObject : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static bool SetCrops(string path, int numCrops) => Edit(path, json => json[Crops] = numCrops);

    /// <summary>Under both of its names, the old one and that since transformers 4.56, also for parts that have their own.</summary>
    private static void NameType(JsonObject config, string type)
    {
        if (!config.ContainsKey("dtype")) config["torch_dtype"] = type;
        Set(config);

        void Set(JsonObject json)
        {
            foreach (var key in (string[])["torch_dtype", "dtype"])
            {
                if (json.ContainsKey(key)) json[key] = type;
            }
            foreach (var part in json.Select(pair => pair.Value).OfType<JsonObject>()) Set(part);
        }
    }

    private static bool IsOfModel(string name) => Named.Contains(name)
        || Texts.Any(text => Path.GetFileNameWithoutExtension(name).Equals(text, StringComparison.OrdinalIgnoreCase));

    /// <summary>The modules that the configurations name, and those that they import from beside them.</summary>
    private static IEnumerable<string> Code(string source, IReadOnlyCollection<string> files)
    {
        var (found, open) = (new HashSet<string>(), new Stack<string>(AutoMap.Modules(source)));
        while (open.TryPop(out var module))
        {
            if (!files.Contains(module + ".py") || !found.Add(module + ".py")) continue;
            var text = File.ReadAllText(Path.Combine(source, module + ".py"));
            foreach (Match import in Import().Matches(text)) open.Push(import.Groups[1].Value);
        }
        return found;
    }

    [GeneratedRegex(@"from\s+\.(\w+)\s+import")]
    private static partial Regex Import();
}
