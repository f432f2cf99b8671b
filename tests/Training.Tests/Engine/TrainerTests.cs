using System.Text.Json;
using System.Text.Json.Nodes;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

[Collection<AloneCollection>]
public sealed class TrainerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-trainer").FullName;
    private readonly QuickstartFiles _files;

    public TrainerTests() => _files = QuickstartFiles.Create(
        Path.Combine(_folder, "sample"), seed: 3, new SampleSizes(TrainPages: 11, EvalPages: 3, TinySizes.Smallest));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("full", "sample")]
    [InlineData("lora", "token")]
    public void Two_and_three_ranks_lose_what_one_rank_loses(string method, string loss)
    {
        var one = Losses(Run("one", worldSize: 1, method, loss));
        foreach (var worldSize in (int[])[2, 3])
        {
            var many = Losses(Run($"many-{worldSize}", worldSize, method, loss));
            Assert.Equal(one.Count, many.Count);
            foreach (var (expected, actual) in one.Zip(many)) Assert.Equal(expected, actual, 1e-5 * expected);
        }
        Assert.Equal(6, one.Count); // 11 samples by 4: the last step of each of the two epochs has three
    }

    [Fact]
    public void A_run_repeats_bit_by_bit()
    {
        var first = Run("first", worldSize: 2, "full", "sample");
        var second = Run("second", worldSize: 2, "full", "sample");
        Assert.Equal(File.ReadAllBytes(Path.Combine(first, "model/model.safetensors")),
            File.ReadAllBytes(Path.Combine(second, "model/model.safetensors")));
        Assert.Equal(Losses(first), Losses(second));
    }

    [Fact]
    public void Every_epoch_takes_every_sample_once()
    {
        var steps = LocalRun.Steps(Run("order", worldSize: 2, "full", "sample"));
        foreach (var epoch in steps.GroupBy(step => step.GetProperty("epoch").GetInt32()))
        {
            var ids = epoch.SelectMany(step => step.GetProperty("sample_ids").EnumerateArray().Select(id => id.GetString())).ToList();
            Assert.Equal(11, ids.Count);
            Assert.Equal(11, ids.Distinct().Count());
        }
    }

    [Fact]
    public void The_same_samples_in_another_form_lose_the_same()
    {
        var llava = Path.Combine(Path.GetDirectoryName(_files.Train)!, "train.json");
        File.WriteAllText(llava, JsonSerializer.Serialize(File.ReadLines(_files.Train).Select(line => AsLlava(JsonNode.Parse(line)!))));
        var spec = Spec("full", "sample");

        var expected = Losses(Run("jsonl", worldSize: 2, spec));
        var losses = Losses(Run("llava", worldSize: 2, spec with { Data = spec.Data with { Kind = "llava", Train = llava, Eval = null } }));

        Assert.All(expected.Zip(losses), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
        Assert.Equal(6, losses.Count);
    }

    [Fact]
    public void A_run_leaves_every_artefact()
    {
        var output = Run("artefacts", worldSize: 2, "lora", "sample");
        string[] expected =
        [
            "run.yaml", "steps.jsonl", "trainability.json", "eval-before.json", "eval-after.json", "report.json", "report.md",
            "adapter/adapter_config.json", "adapter/adapter_model.safetensors",
        ];
        Assert.All(expected, file => Assert.True(new FileInfo(Path.Combine(output, file)) is { Exists: true, Length: > 0 }, file));
        Assert.Empty(Directory.EnumerateFiles(output, "*.partial"));
    }

    [Fact]
    public void Rank_0_says_what_is_kept_in_which_type()
    {
        var ends = LocalRun.Train(Spec("qlora", "sample") with { Epochs = 1 }, worldSize: 2, Path.Combine(_folder, "plan"));

        Assert.Contains(ends[0].Notes, note => note.StartsWith("decoder") && note.Contains("in nf4, frozen"));
        Assert.Contains(ends[0].Notes, note => note.StartsWith("head adapters: ") && note.Contains("in fp32, trained"));
        Assert.Empty(ends[1].Notes);
    }

    [Fact]
    public void A_broken_image_ends_the_run_and_names_the_sample()
    {
        var page = Directory.EnumerateFiles(_folder, "*.png", SearchOption.AllDirectories).Order().Last(path => path.Contains("train"));
        File.WriteAllBytes(page, [1, 2, 3]);

        var ends = LocalRun.Train(Spec("full", "sample"), worldSize: 2, Path.Combine(_folder, "broken"));

        Assert.Contains(ends, end => end.Phase == RankPhase.Failed && end.Error!.Contains(Path.GetFileName(page)));
    }

    [Fact]
    public void Rows_that_are_skipped_are_listed_beside_the_results()
    {
        var many = Path.Combine(Path.GetDirectoryName(_files.Train)!, "many.jsonl");
        File.WriteAllLines(many, [.. Enumerable.Repeat(File.ReadAllLines(_files.Train), 10).SelectMany(rows => rows), "{}"]);
        var spec = Spec("lora", "sample") with
        {
            Data = new() { Train = many, OnBadSample = "skip" },
            Batch = new() { Global = 110 },
            Optimizer = new() { WarmupSteps = 0 }, // the run's one step is not to be a warm-up's first
            Epochs = 1,
        };

        var ends = LocalRun.Train(spec, worldSize: 2, Path.Combine(_folder, "skips"));

        Assert.All(ends, end => Assert.Equal((RankPhase.Finished, 1), (end.Phase, end.Step)));
        Assert.Contains("many.jsonl:111: conversations is missing", File.ReadAllText(Path.Combine(_folder, "skips", "skipped-rows.txt")));
    }

    private static JsonObject AsLlava(JsonNode row) => new()
    {
        ["id"] = row["id"]!.GetValue<string>(),
        ["image"] = new JsonArray([.. row["conversations"]!.AsArray().SelectMany(Images).Select(path => (JsonNode)path)]),
        ["conversations"] = new JsonArray([.. row["conversations"]!.AsArray().SelectMany(turn => (JsonNode[])
        [
            new JsonObject
            {
                ["from"] = "human",
                ["value"] = string.Concat(Images(turn).Select(_ => "<image>\n")) + turn!["user"]!.GetValue<string>(),
            },
            new JsonObject { ["from"] = "gpt", ["value"] = turn["assistant"]!.GetValue<string>() },
        ])]),
    };

    private static IEnumerable<string> Images(JsonNode? turn) => turn!["images"]?.AsArray().Select(path => path!.GetValue<string>()) ?? [];

    private string Run(string name, int worldSize, string method, string loss) => Run(name, worldSize, Spec(method, loss));

    private string Run(string name, int worldSize, RunSpec spec)
    {
        var output = Path.Combine(_folder, name);
        var ends = LocalRun.Train(spec, worldSize, output);
        Assert.All(ends, end => Assert.True(end.Phase == RankPhase.Finished, $"rank {end.Id.Seat}: {end.Error}"));
        return output;
    }

    private static List<double> Losses(string output) => [.. LocalRun.Steps(output).Select(step => step.GetProperty("loss").GetDouble())];

    private RunSpec Spec(string method, string loss) => new()
    {
        Model = new() { Path = _files.Checkpoint, NumCrops = 1 },
        Method = new() { Kind = method, Rank = 4 },
        Data = new() { Train = _files.Train, Eval = _files.Eval, ShuffleTurns = true },
        Batch = new() { Global = 4 },
        Epochs = 2,
        Optimizer = new() { LearningRate = 1e-3, WarmupSteps = 2, Loss = loss },
        Evaluation = new() { MaxNewTokens = 3 },
        Output = _folder,
    };
}
