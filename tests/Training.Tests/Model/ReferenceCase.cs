using System.Text.Json.Nodes;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>
/// A case of the reference: its configuration and weights, and the input that the product itself makes of the case's turns and image files,
/// with the model folder's own tokenizer. Nothing that the reference computed goes in.
/// </summary>
internal sealed class ReferenceCase : IDisposable
{
    private ReferenceCase(string name)
    {
        Name = name;
        Json = JsonNode.Parse(File.ReadAllText(ReferenceFolder.PathOf("model", "cases", name + ".json")))!;
        var folder = ReferenceFolder.PathOf("model", (string)Json["model"]!);
        Config = Configuration(Path.Combine(folder, "config.json"));
        Tokenizer = Tokenizer.Load(folder);
        Encoder = new(Tokenizer, (int)Json["num_crops"]!, Config.MaxPositions);
        Encoded = Encoder.EncodeForTraining(new(name, [.. Turns.Select(Turn)]), seed: 1, epoch: 0);
        Input = ModelInputs.WithCrops(Encoded, CPU);
        Load(folder);
        Expected = SafeTensorsFile.Open(ReferenceFolder.PathOf("model", "cases", name + ".safetensors"));
    }

    public string Name { get; }
    public JsonNode Json { get; }
    public SafeTensorsFile Expected { get; }
    public Phi3VConfig Config { get; }
    public ModelWeights Weights { get; } = new();
    /// <summary>What the checkpoint holds of the model's weights.</summary>
    public HashSet<string> WeightNames { get; } = new(StringComparer.Ordinal);
    public Tokenizer Tokenizer { get; }
    public SampleEncoder Encoder { get; }
    public EncodedSample Encoded { get; }
    public ModelInput Input { get; }
    public JsonNode? Generation => Json["generation"];

    private IEnumerable<JsonNode> Turns => Json["turns"]!.AsArray().Select(turn => turn!);

    /// <summary>Skips the test where there is no reference.</summary>
    public static ReferenceCase Open(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        return new(name!);
    }

    /// <summary>The prompts that the original was given, as the product templates the same turns.</summary>
    public IEnumerable<string> Prompts =>
        Turns.Select(turn => ChatTemplate.Prompt([new("user", SampleEncoder.Content(Turn(turn), imagesBefore: 0))]));

    /// <summary>What the original was asked to go on from: the sample up to its last answer.</summary>
    public ModelInput GenerationInput()
    {
        var ids = Input.Ids[..(int)Generation!["prompt_tokens"]!];
        return new(ids, null, Input.Images);
    }

    public long[] Numbers(string name)
    {
        using var view = Expected.View(name);
        using var wide = view.to(ScalarType.Int64);
        return wide.data<long>().ToArray();
    }

    public void Dispose() => Expected.Dispose();

    private static Turn Turn(JsonNode turn) => new([.. turn["images"]!.AsArray().Select(image => new ReferenceImage((string)image!))],
        (string)turn["user"]!, [(string)turn["assistant"]!]);

    private Phi3VConfig Configuration(string path)
    {
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        foreach (var (key, value) in Json["config_overrides"]!.AsObject()) json[key] = value?.DeepClone();
        return Phi3VConfig.Parse(json.ToJsonString(), path);
    }

    private void Load(string folder)
    {
        using var checkpoint = CheckpointFolder.Open(folder);
        var list = Phi3VWeights.List(Config);
        checkpoint.Check(list, weight => Phi3VWeights.IsUnused(weight, Config));
        foreach (var info in list.Where(info => checkpoint.Contains(info.Name)))
        {
            var weight = empty(info.Shape, ScalarType.Float32);
            checkpoint.CopyTo(info.Name, weight);
            Weights[info.Name] = weight;
            WeightNames.Add(info.Name);
        }
    }
}
