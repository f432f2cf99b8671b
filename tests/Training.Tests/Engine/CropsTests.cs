using System.Text.Json.Nodes;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Checkpoints;
using Phi3VCluster.Training.Tests.Engine.Jobs;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>How many crops an image is cut into is one number, from the checkpoint through the run to whoever uses what it made.</summary>
public sealed class CropsTests : IDisposable
{
    private const int OfCheckpoint = 3, Other = 2;

    private readonly TemporaryFolder _folder = new();
    private readonly QuickstartFiles _files;

    public CropsTests() => _files = QuickstartFiles.Create(_folder["sample"], seed: 5,
        new(TrainPages: 2, EvalPages: 1, TinySizes.Smallest with { NumCrops = OfCheckpoint }));

    private string Page => Directory.EnumerateFiles(_folder["sample"], "page-*.png", SearchOption.AllDirectories).Order().First();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("lora", "adapter")]
    [InlineData("full", "model")]
    public void A_run_that_says_nothing_uses_the_checkpoints_and_writes_them_down(string method, string made)
    {
        var output = Train(method, numCrops: null);

        Assert.Contains($"numCrops: {OfCheckpoint}\n", File.ReadAllText(Path.Combine(output, "run.yaml")));
        Assert.Equal(OfCheckpoint, Crops(Path.Combine(output, made)));
    }

    [Fact]
    public void An_adapter_is_used_with_the_crops_it_was_trained_with_and_that_is_told()
    {
        var adapter = Path.Combine(Train("lora", Other), "adapter");
        Assert.Equal(Other, Crops(adapter));
        var question = new GenerateJob { Model = _files.Checkpoint, Adapter = adapter, Images = [Page], Prompt = "?", MaxNewTokens = 1 };

        var asTrained = JobRun.Generate(question);
        var otherwise = JobRun.Generate(question with { NumCrops = OfCheckpoint });
        var merged = JobRun.Merge(new() { Model = _files.Checkpoint, Adapter = adapter, To = _folder["merged"] });

        Assert.Equal(Other, asTrained.NumCrops);
        Assert.Contains($"trained with {Other} crops", Assert.Single(asTrained.Notes));
        Assert.Equal(OfCheckpoint, otherwise.NumCrops);
        Assert.Contains($"was trained with {Other}, got {OfCheckpoint}", Assert.Single(otherwise.Notes));
        Assert.Equal(JobRun.Generate(question with { NumCrops = Other }).ImageTokens, asTrained.ImageTokens);
        Assert.Equal(Other, Crops(_folder["merged"]));
        Assert.Contains(merged.Notes, note => note.Contains($"the merged model says {Other}", StringComparison.Ordinal));
        Assert.Equal(Other, JobRun.Evaluate(new()
        {
            Model = _files.Checkpoint,
            Adapter = adapter,
            DataKind = "conversations",
            Data = _files.Eval,
            Metrics = ["loss"],
        }).NumCrops);
    }

    [Fact]
    public void A_run_that_goes_on_from_an_adapter_of_other_crops_says_so()
    {
        var adapter = Path.Combine(Train("lora", Other), "adapter");
        var notes = new List<string>();

        Train("lora", numCrops: null, adapter, notes);

        var told = $"was trained with {Other} crops an image, this run uses {OfCheckpoint}";
        Assert.Contains(notes, note => note.Contains(told, StringComparison.Ordinal));
    }

    private static int Crops(string folder) =>
        (int)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "preprocessor_config.json")))!["num_crops"]!;

    private string Train(string method, int? numCrops, string? adapter = null, List<string>? notes = null)
    {
        var output = _folder[$"run-{Guid.NewGuid():N}"];
        var end = Assert.Single(LocalRun.Train(new RunSpec
        {
            Model = new() { Path = _files.Checkpoint, NumCrops = numCrops },
            Method = new() { Kind = method, Rank = 2, Adapter = adapter },
            Data = new() { Train = _files.Train },
            Batch = new() { Global = 2 },
            Optimizer = new() { WarmupSteps = 0 },
            Output = _folder.Path,
        }, 1, output));
        Assert.True(end.Phase == RankPhase.Finished, end.Error);
        notes?.AddRange(end.Notes);
        return output;
    }
}
