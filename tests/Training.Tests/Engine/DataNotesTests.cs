using System.Text.Json.Nodes;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Engine.Jobs;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>What a run says of its data before it trains, and what it does not begin.</summary>
public sealed class DataNotesTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    [Fact]
    public void Rows_without_an_image_are_counted_and_text_alone_is_warned_of_where_vision_is_trained()
    {
        var text = runs.Lora with { Data = new() { Train = runs.TextOnly() } };

        Assert.Contains("data: 7 rows train, 1 of them without an image; none evaluates (name some in data.eval or data.evalRows)",
            Notes(runs.Lora));
        Assert.DoesNotContain(Notes(runs.Lora), note => note.StartsWith("warning"));
        Assert.Contains(Notes(text), note => note.StartsWith("warning: none of the 3 rows of data.train has an image"));
        Assert.DoesNotContain(Notes(text with { Method = new() { Kind = "head" } }), note => note.StartsWith("warning"));
    }

    [Fact]
    public void A_tag_of_other_kinds_of_data_is_told_to_be_text()
    {
        var tagged = runs.Changed("tagged", all => all[0]!["conversations"]![0]!["user"] = "<image> What is in the red band?");

        Assert.Contains(Notes(runs.Lora with { Data = new() { Train = tagged } }), note => note.StartsWith(
            "warning: data.train: <image> in a question is plain text for this data.kind, in 1 row(s); "));
    }

    [Fact]
    public void Evaluation_on_rows_that_train_is_warned_of()
    {
        var data = new DataSpec { Train = runs.TextOnly(), Eval = runs.TextOnly() };
        var spec = runs.Spec with { Method = new() { Kind = "head" }, Data = data, Evaluation = new() { Metric = "loss" } };

        Assert.Contains(Notes(spec), note => note.StartsWith("warning: data.eval names files of data.train"));
        Assert.Contains(Notes(spec with { Data = data with { EvalRows = 1 } }),
            note => note.Contains("2 rows train") && note.EndsWith("1 evaluate"));
    }

    [Fact]
    public void A_warm_up_that_does_not_end_is_warned_of_and_one_that_lets_nothing_train_is_refused()
    {
        var spec = runs.Lora with { Batch = new() { Global = 3, Micro = 1 }, Optimizer = new() { LearningRate = 1e-3, WarmupSteps = 50 } };

        Assert.Contains("warning: optimizer.warmupSteps: the run's 3 steps end within its warm-up of 50: the rate reaches 4e-5 of 1e-3; "
            + "lower it, raise epochs, or lower batch.global.", Notes(spec));
        var refusal = runs.Fail(spec with { Batch = new() { Global = 64 } }, worldSize: 1, out var output)[0];
        Assert.Equal("optimizer.warmupSteps: nothing would be trained, 7 rows in batches of 64, 1 epoch(s), make 1 step(s) "
            + "and the warm-up has more, got 50; lower it or batch.global, or raise epochs.", refusal);
        Assert.False(File.Exists(Path.Combine(output, "steps.jsonl")));
    }

    [Fact]
    public void A_token_that_the_weights_do_not_know_is_named_before_anything_runs()
    {
        var model = runs.Checkpoint("model.norm.weight", _ => { });
        var file = Path.Combine(model, "tokenizer.json");
        var tokenizer = JsonNode.Parse(File.ReadAllText(file))!;
        tokenizer["added_tokens"]!.AsArray().Add(
            JsonNode.Parse("""{"id": 400000, "content": "<loc_9>", "normalized": false, "special": true}"""));
        File.WriteAllText(file, tokenizer.ToJsonString());
        var spec = runs.Lora with
        {
            Model = new() { Path = model, NumCrops = 1 },
            Data = new() { Train = runs.Changed("loc", all => all[4]!["conversations"]![0]!["assistant"] = "At <loc_9>") },
        };

        var refusal = runs.Fail(spec, worldSize: 1, out var output)[0];

        Assert.Contains($"loc.jsonl:5: token <loc_9> has id 400000, and the model's weights have", refusal);
        Assert.False(Directory.Exists(output));
        var ask = new GenerateJob { Model = model, Prompt = "Where is <loc_9>?", NumCrops = 1 };
        Assert.StartsWith("--prompt: token <loc_9> has id 400000", JobRun.Refused(ask));
    }

    private List<string> Notes(RunSpec spec)
    {
        var end = LocalRun.Train(spec, worldSize: 1, runs.PathOf($"notes-{Guid.NewGuid():N}"))[0];
        Assert.True(end.Phase == RankPhase.Finished, end.Error);
        return [.. end.Notes];
    }
}
