using System.Text.Json.Nodes;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Tests.Model;

namespace Phi3VCluster.Training.Tests.Engine.Jobs;

/// <summary>The jobs from files to results, against what the original computes.</summary>
[Trait("Category", "Parity")]
public sealed class JobParityTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-parity").FullName;

    public static IEnumerable<TheoryDataRow<string?>> Cases => ReferenceFolder.Files("model/cases", "*.json");

    public static IEnumerable<TheoryDataRow<string?>> Runs => ReferenceFolder.Folders("trajectories", "trajectory.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory, MemberData(nameof(Cases))]
    public void Generate_answers_as_the_original(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        var test = JsonNode.Parse(File.ReadAllText(ReferenceFolder.PathOf("model", "cases", name + ".json")))!;
        if (test["generation"] is not { } expected) { Assert.Skip($"{name} generates nothing."); return; }
        var prompts = (expected["prompts"] ?? test["prompts"])!.AsArray();
        if (prompts.Count > 1) Assert.Skip($"{name} trains on {prompts.Count} prompts at once, which are no prompt to generate from.");
        var turn = test["turns"]![0]!;
        var images = turn["images"]!.AsArray().Select(image => ReferenceFolder.PathOf("processor", "images", (string)image!)).ToList();
        if (images.Find(image => !File.Exists(image)) is { } absent) Assert.Skip($"{name}: there is no {absent}.");
        var tokens = expected["tokens"]!.AsArray().Select(token => (long)token!).ToList();
        var raw = new GenerateJob
        {
            Model = ModelOf(test),
            NumCrops = (int)test["num_crops"]!,
            Images = images,
            Prompt = (string)prompts[0]!,
            IsRaw = true,
            MaxNewTokens = tokens.Count,
            IgnoreEndOfText = (bool)expected["ignore_end_of_text"]!,
        };

        var got = JobRun.Generate(raw);

        Assert.Equal(tokens, got.Tokens);
        Assert.Equal((string)expected["text"]!, got.Text);
        Assert.Equal((int)expected["prompt_tokens"]!, got.PromptTokens);
        Assert.All(got.LogProbabilities.Zip(expected["log_probabilities"]!.AsArray()),
            pair => Assert.Equal((double)pair.Second!, pair.First, 5e-4));
        var asked = JobRun.Generate(raw with { IsRaw = false, Prompt = (string)turn["user"]!, MaxNewTokens = 1 });
        Assert.Equal((got.PromptTokens, got.Tokens[0]), (asked.PromptTokens, asked.Tokens[0]));
        Assert.Equal(got.LogProbabilities[0], asked.LogProbabilities[0], 1e-5);
    }

    [Theory, MemberData(nameof(Runs))]
    public void Eval_of_an_adapter_that_PEFT_saved_loses_what_the_original_loses(string? name)
    {
        ReferenceFolder.SkipIfAbsent(name);
        var run = JsonNode.Parse(File.ReadAllText(ReferenceFolder.PathOf("trajectories", name!, "trajectory.json")))!;
        if (run["rank"] is null) Assert.Skip($"{name} trains no adapter.");
        if (run["nf4_modules"] is not null) Assert.Skip($"{name} was trained beside weights in NF4, which a checkpoint's are not.");
        var expected = run["final_sample_losses"]!.AsObject();

        var got = JobRun.Evaluate(new()
        {
            Model = ReferenceFolder.PathOf("model", "tiny"),
            Adapter = ReferenceFolder.PathOf("trajectories", name!, "adapter"),
            NumCrops = (int)run["num_crops"]!,
            DataKind = "conversations",
            Data = ReferenceFolder.PathOf("trajectories", "data.jsonl"),
            Metrics = ["loss"],
        });

        Assert.Equal(expected.Select(loss => loss.Key).Order(), got.Samples.Select(row => row.Id).Order());
        Assert.All(got.Samples, row => Assert.Equal((double)expected[row.Id]!, row.Loss!.Value, 1e-4));
    }

    /// <summary>The case's checkpoint; with its changes to config.json, a folder of links to all other files.</summary>
    private string ModelOf(JsonNode test)
    {
        var folder = ReferenceFolder.PathOf("model", (string)test["model"]!);
        var changes = test["config_overrides"]!.AsObject();
        if (changes.Count == 0) return folder;
        foreach (var file in Directory.EnumerateFiles(folder).Where(file => Path.GetFileName(file) != "config.json"))
            File.CreateSymbolicLink(Path.Combine(_folder, Path.GetFileName(file)), file);
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!;
        foreach (var (key, value) in changes) config[key] = value?.DeepClone();
        File.WriteAllText(Path.Combine(_folder, "config.json"), config.ToJsonString());
        return _folder;
    }
}
