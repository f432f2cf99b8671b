using System.Text.Json;
using System.Text.Json.Nodes;
using Phi3VCluster.Spec;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>
/// A LoRA adapter in PEFT's folder layout. Tensors are named as our trained tensors are, <c>{module}.lora_A.weight</c> [rank, in],
/// <c>{module}.lora_B.weight</c> [out, rank] and, for DoRA, <c>{module}.lora_magnitude_vector</c> [out].
/// </summary>
public sealed class PeftAdapter : IDisposable
{
    private const string ConfigFile = "adapter_config.json", WeightsFile = "adapter_model.safetensors", Prefix = "base_model.model.";
    private const string A = ".lora_A.weight", B = ".lora_B.weight", Magnitude = ".lora_magnitude_vector";
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    private readonly SafeTensorsFile _file;
    private readonly AdapterNames _names;

    private PeftAdapter(SafeTensorsFile file, AdapterNames names, AdapterSettings settings)
    {
        (_file, _names, Settings) = (file, names, settings);
        Names = [.. names.Ours];
    }

    public AdapterSettings Settings { get; }

    public IReadOnlyList<string> Names { get; }

    /// <summary>The adapted linear maps, e.g. <c>model.layers.0.mlp.down_proj</c>.</summary>
    public IReadOnlyList<string> Modules =>
        [.. Names.Where(name => name.EndsWith(A, StringComparison.Ordinal)).Select(name => name[..^A.Length])];

    /// <summary>Opens an adapter. The copy of lm_head that PEFT adds (<c>base_layer</c>) is passed over.</summary>
    /// <exception cref="InputException">Not an adapter folder, or an unsupported kind of adapter; all problems at once.</exception>
    public static PeftAdapter Load(string folder)
    {
        var problems = new List<string>();
        var settings = ReadConfig(Path.Combine(folder, ConfigFile), problems);
        var file = OpenWeights(folder, problems);
        problems.AddRange(WeightsBeside.Problems(folder));
        var names = file is null ? null : AdapterNames.Of(file, settings?.Kind ?? "LoRA", problems);
        if (file is not null && settings is not null) CheckTensors(file, names!, settings, problems);
        if (problems.Count == 0) return new(file!, names!, settings!);
        file?.Dispose();
        throw new InputException(problems);
    }

    public TensorInfo Info(string name) => new(name, _file.Info(_names.InFile(name)).Shape);

    /// <summary>Writes the tensor into <paramref name="destination"/>, of any type and device.</summary>
    public void CopyTo(string name, Tensor destination) => _file.CopyTo(_names.InFile(name), destination);

    /// <summary>Writes an adapter that PEFT loads.</summary>
    public static void Save(string folder, AdapterSettings settings, IReadOnlyList<(string Name, Tensor Tensor)> tensors)
    {
        Directory.CreateDirectory(folder);
        var targets = tensors.Where(t => t.Name.EndsWith(A, StringComparison.Ordinal)).Select(t => Target(t.Name[..^A.Length]))
            .Distinct().Order(StringComparer.Ordinal);
        var config = new JsonObject
        {
            ["peft_type"] = "LORA",
            ["base_model_name_or_path"] = settings.BaseModel,
            ["task_type"] = null,
            ["r"] = settings.Rank,
            ["lora_alpha"] = settings.Alpha,
            ["lora_dropout"] = settings.Dropout,
            ["target_modules"] = new JsonArray([.. targets.Select(target => (JsonNode)target)]),
            ["modules_to_save"] = null,
            ["bias"] = "none",
            ["fan_in_fan_out"] = false,
            ["inference_mode"] = true,
            ["init_lora_weights"] = "gaussian",
            ["use_dora"] = settings.UsesDora,
            ["use_rslora"] = false,
            ["rank_pattern"] = new JsonObject(),
            ["alpha_pattern"] = new JsonObject(),
        };
        SafeTensorsWriter.Write(Path.Combine(folder, WeightsFile), tensors.Select(t => (Prefix + t.Name, t.Tensor)));
        File.WriteAllText(Path.Combine(folder, ConfigFile), config.ToJsonString(Indented));
    }

    public void Dispose() => _file.Dispose();

    /// <summary>The end of a module's name that PEFT matches it by; a mere number would match too much.</summary>
    private static string Target(string module)
    {
        var parts = module.Split('.');
        return int.TryParse(parts[^1], out _) ? $"{parts[^2]}.{parts[^1]}" : parts[^1];
    }

    /// <returns>Null where it does not say how its tensors are applied.</returns>
    private static AdapterSettings? ReadConfig(string path, List<string> problems)
    {
        JsonNode? config;
        try
        {
            config = JsonNode.Parse(File.ReadAllText(path), documentOptions: new() { AllowDuplicateProperties = false });
            if (config is not JsonObject) throw new JsonException("not an object");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            problems.Add(FileSignature.InPlaceOfModel(path) is { } foreign
                ? $"{path}: {foreign}"
                : $"{path}: cannot be read ({error.Message}); give an adapter folder as PEFT saves it.");
            return null;
        }
        Must("peft_type", "\"LORA\"");
        Must("bias", "\"none\"", "null");
        Must("modules_to_save", "null", "[]");
        Must("init_lora_weights", "true", "false", "null", "\"gaussian\"", "\"eva\"", "\"orthogonal\""); // others change the base weights
        foreach (var pattern in (string[])["rank_pattern", "alpha_pattern"]) Must(pattern, "{}", "null");
        foreach (var flag in (string[])["use_rslora", "fan_in_fan_out", "use_qalora"]) Must(flag, "false", "null");
        foreach (var other in (string[])["layer_replication", "alora_invocation_tokens"]) Must(other, "null");
        var (rank, alpha) = (Number("r"), Number("lora_alpha"));
        var (isRank, isAlpha) = (rank >= 1 && double.IsInteger(rank), alpha > 0 && double.IsFinite(alpha));
        if (!isRank) Refuse("r", "a whole number from 1 up");
        if (!isAlpha) Refuse("lora_alpha", "a number above 0");
        return !isRank || !isAlpha ? null : new((int)rank, alpha)
        {
            Dropout = Number("lora_dropout") is var dropout && double.IsNaN(dropout) ? 0 : dropout,
            UsesDora = config["use_dora"]?.ToJsonString() == "true",
            BaseModel = config["base_model_name_or_path"]?.ToString(),
        };

        void Must(string key, params string[] values)
        {
            if (!values.Contains(Got(key)))
                problems.Add($"{path}: {key} is not supported, got {Got(key)}; use an adapter with {values[0]}.");
        }

        void Refuse(string key, string needed) =>
            problems.Add($"{path}: {key} must be {needed}, got {Got(key)}; give an adapter as PEFT saves it.");

        double Number(string key) => config[key] is JsonValue value && value.TryGetValue<double>(out var number) ? number : double.NaN;

        string Got(string key) => config[key]?.ToJsonString() ?? "null";
    }

    private static SafeTensorsFile? OpenWeights(string folder, List<string> problems)
    {
        var path = Path.Combine(folder, WeightsFile);
        var pickle = Directory.Exists(folder)
            ? Directory.EnumerateFiles(folder, "adapter_model.*").FirstOrDefault(CheckpointFolder.IsPickle)
            : null;
        try
        {
            if (File.Exists(path) || pickle is null) return SafeTensorsFile.Open(path);
            problems.Add(CheckpointFolder.RefusePickle(pickle));
        }
        catch (InputException error)
        {
            problems.AddRange(error.Problems);
        }
        return null;
    }

    private static void CheckTensors(SafeTensorsFile file, AdapterNames names, AdapterSettings settings, List<string> problems)
    {
        if (file.Names.Count == 0) problems.Add($"{file.Path}: holds no tensors, got an empty file; export the adapter again.");
        var wrong = new List<string>();
        if (!settings.UsesDora)
            wrong.AddRange(names.Ours.Where(name => name.EndsWith(Magnitude, StringComparison.Ordinal))
                .Select(name => names.Foreign(name, settings.Kind)));
        foreach (var module in names.Ours.Select(AdapterNames.ModuleOf).Distinct())
        {
            var missing = Ends(settings).Where(end => !names.Contains(module + end)).ToList();
            wrong.AddRange(missing.Select(end => $"{file.Path}: the tensor {Prefix}{module}{end} is missing; export the adapter again."));
            if (missing.Count == 0) CheckShapes(file, names, module, settings, wrong);
        }
        problems.AddRange(ProblemList.Short(wrong, file.Path));
    }

    private static void CheckShapes(
        SafeTensorsFile file, AdapterNames names, string module, AdapterSettings settings, List<string> problems)
    {
        var (a, b) = (Shape(A), Shape(B));
        Must(A, a.Length == 2 && a[0] == settings.Rank, $"have rank {settings.Rank}");
        Must(B, b.Length == 2 && b[1] == settings.Rank, $"have rank {settings.Rank}");
        if (settings.UsesDora && b.Length == 2)
            Must(Magnitude, Shape(Magnitude) is [var rows] && rows == b[0], $"be [{b[0]}], as lora_B has rows");

        void Must(string end, bool does, string what)
        {
            if (!does)
                problems.Add($"{file.Path}: {module}{end} must {what}, got [{string.Join(", ", Shape(end))}]; use its own {ConfigFile}.");
        }

        long[] Shape(string end) => file.Info(names.InFile(module + end)).Shape;
    }

    private static string[] Ends(AdapterSettings settings) => settings.UsesDora ? [A, B, Magnitude] : [A, B];
}

/// <summary>What <c>adapter_config.json</c> says of how an adapter is applied.</summary>
public sealed record AdapterSettings(int Rank, double Alpha)
{
    public double Dropout { get; init; }
    public bool UsesDora { get; init; }
    /// <summary>The base model's name or folder, for the reader.</summary>
    public string? BaseModel { get; init; }

    /// <summary>What the product of B and A is multiplied by.</summary>
    public double Scale => Alpha / Rank;

    public string Kind => UsesDora ? "DoRA" : "LoRA";
}
