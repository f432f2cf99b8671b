using System.Text.Json;
using System.Text.Json.Nodes;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Collectives;
using TorchSharp;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>One rank's trouble is every rank's step.</summary>
[Collection<AloneCollection>]
public sealed class ObjectionTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    private const string Embedding = "model.embed_tokens.weight", Strange = "~^~";

    [Fact]
    public void A_loss_that_is_not_finite_ends_the_run_with_the_same_words_on_all_ranks()
    {
        var words = runs.Fail(Poisoned(), worldSize: 3, out var output);

        Assert.All(words, word => Assert.Equal(words[0], word));
        Assert.StartsWith("step 2, rank 1: the loss of s4 is not finite; ", words[0]);
        Assert.Contains("optimizer.learningRate", words[0]);
        Assert.Single(LocalRun.Steps(output));
    }

    [Theory]
    [InlineData("step", 1)]
    [InlineData("step", 2)]
    [InlineData("micro", 2)]
    public void A_skipped_step_leaves_everything_as_it_is(string reduceEvery, int worldSize)
    {
        var spec = Poisoned() with { Batch = new() { Global = 3, Micro = 2, ReduceEvery = reduceEvery } };
        spec = spec with { Optimizer = spec.Optimizer with { OnNonFinite = "skip" } };

        var skipping = runs.Finish(spec, worldSize);
        var without = runs.Finish(spec with { Data = spec.Data with { Train = runs.Changed("without", Strangen, 0, 1, 2, 6) } }, worldSize);

        var steps = LocalRun.Steps(skipping);
        Assert.Equal(["", $"rank {1 % worldSize}: the loss of s4 is not finite", ""],
            steps.Select(step => step.GetProperty("skipped").GetString() ?? ""));
        Assert.All(steps, step => Assert.True(double.IsFinite(step.GetProperty("loss").GetDouble())));
        Assert.Equal(SmallRuns.Numbers(without, "loss"), Of(steps, "loss"));
        Assert.Equal(SmallRuns.Numbers(without, "grad_norm"), Of(steps, "grad_norm"));
        Assert.Equal(Model(without), Model(skipping));

        static double[] Of(IReadOnlyList<JsonElement> steps, string key) =>
            [steps[0].GetProperty(key).GetDouble(), steps[2].GetProperty(key).GetDouble()];
        static byte[] Model(string output) => File.ReadAllBytes(Path.Combine(output, "adapter/adapter_model.safetensors"));
    }

    [Fact]
    public void More_skipped_steps_than_allowed_end_the_run()
    {
        var spec = Poisoned() with { Epochs = 3 };
        spec = spec with { Optimizer = spec.Optimizer with { OnNonFinite = "skip", MaxSkippedSteps = 1 } };

        var words = runs.Fail(spec, worldSize: 2, out var output);

        Assert.All(words, word => Assert.StartsWith(
            "step 5, rank 1: the loss of s4 is not finite (1 steps were skipped before, optimizer.maxSkippedSteps)", word));
        Assert.Equal(4, LocalRun.Steps(output).Count);
    }

    [Theory]
    [InlineData(1e30, "^step 1: weights are not finite, or far too large, in .*decoder.*; lower optimizer.learningRate")]
    [InlineData(1e12, "^step [23], rank [01]: .*s[0-6].*optimizer.learningRate")]
    public void A_learning_rate_that_is_far_too_large_is_named(double rate, string expected)
    {
        var spec = runs.Spec with { Epochs = 2, Optimizer = runs.Spec.Optimizer with { LearningRate = rate } };

        var words = runs.Fail(spec, worldSize: 2, out _);

        Assert.All(words, word => Assert.Equal(words[0], word));
        Assert.Matches(expected, words[0]);
    }

    [Fact]
    public void A_trained_weight_that_is_not_finite_from_the_start_is_named()
    {
        var checkpoint = runs.Checkpoint(Embedding, rows => rows[3] = torch.full(rows.shape[1], float.NaN));

        var words = runs.Fail(runs.Spec with { Model = runs.Spec.Model with { Path = checkpoint } }, worldSize: 2, out _);

        Assert.All(words, word => Assert.StartsWith("step 1: weights are not finite, or far too large, in token embedding; ", word));
    }

    [Theory]
    [InlineData("step")]
    [InlineData("micro")]
    public void A_fault_of_one_rank_is_named_by_all(string reduceEvery)
    {
        var broken = runs.PathOf("broken.png");
        var page = Directory.EnumerateFiles(Path.GetDirectoryName(broken)!, "*.png", SearchOption.AllDirectories).Order().First();
        File.WriteAllBytes(broken, File.ReadAllBytes(page)[..^100]); // looks whole until it is decoded
        var spec = runs.Spec with
        {
            Batch = new() { Global = 3, Micro = 1, ReduceEvery = reduceEvery },
            Data = runs.Spec.Data with
            {
                Train = runs.Changed("broken", samples => samples[5]["conversations"]![0]!["images"] = new JsonArray(broken)),
            },
        };

        var words = runs.Fail(spec, worldSize: 2, out var output);

        Assert.All(words, word => Assert.Equal(words[0], word));
        Assert.StartsWith("step 2, rank 0: sample s5: ", words[0]);
        Assert.Contains("broken.png", words[0]);
        Assert.Single(LocalRun.Steps(output));
    }

    [Fact]
    public void An_overflow_lowers_the_loss_scale_until_it_can_fall_no_further()
    {
        using var collective = new LoopbackCollective(1);
        using var state = State("fp16");
        var scaler = state.Scaler;
        var objections = new StepObjections(collective, state, new() { OnNonFinite = "skip", MaxSkippedSteps = 1 });
        var work = new StepWork { Share = [new("one", [], [], [])] };
        var tally = StepTally.Exchange(collective, work, double.PositiveInfinity, wantsBoundary: false);
        Assert.Equal(Vote.Overflow, tally.Verdict);

        Assert.Equal("gradients overflowed; the loss scale is 65536 now", objections.Handle(tally, work, 1));
        Assert.Equal("gradients overflowed; the loss scale is 32768 now", objections.Handle(tally, work, 2));
        for (var step = 3; !scaler.IsExhausted; step++) objections.Handle(tally, work, step);

        // The one that may be skipped.
        Assert.Contains("a summed gradient is not finite, among those of one", objections.Handle(tally, work, 50));
        Assert.StartsWith("step 51, rank 0: ", Assert.Throws<RankFault>(() => objections.Handle(tally, work, 51)).Message);
    }

    [Fact]
    public void Without_a_loss_scale_an_overflow_is_an_objection()
    {
        using var collective = new LoopbackCollective(1);
        var work = new StepWork { Share = [new("one", [], [], []), new("two", [], [], [])] };
        using var state = State("fp32");
        var objections = new StepObjections(collective, state, new());

        var fault = Assert.Throws<RankFault>(() =>
            objections.Handle(StepTally.Exchange(collective, work, double.NaN, wantsBoundary: false), work, 7));

        Assert.StartsWith("step 7, rank 0: a summed gradient is not finite, among those of one, two", fault.Message);
    }

    [Fact]
    public void The_gravest_vote_counts_and_all_know_who_cast_which()
    {
        var tallies = Ranks.Run(new TcpBackend(), 4, collective =>
        {
            var work = new StepWork { Share = [new($"{collective.Rank}", [1, 2], [-100, 2], [])] };
            if (collective.Rank == 2) work.Guard(() => throw new InvalidOperationException("broken"));
            work.Add(work.Share[0], collective.Rank == 1 ? double.NaN : 2, 0.25);
            return StepTally.Exchange(
                collective, work, collective.Rank == 3 ? double.PositiveInfinity : 5, wantsBoundary: collective.Rank == 2);
        });

        Assert.All(tallies, tally =>
        {
            Assert.Equal([Vote.Commit, Vote.NonFinite, Vote.Fault, Vote.Overflow], tally.Votes);
            Assert.Equal(Vote.Fault, tally.Verdict);
            Assert.True(tally.IsBoundary); // one that was asked is enough
            Assert.Equal((1.5, 15, 8L), (tally.Loss, tally.GradientSquares, tally.Tokens));
        });
    }

    private static TrainingState State(string precision) => new(
        new() { Precision = precision }, new([], 1), new FlatParameters([new(new("one", [1]), Decays: false)], torch.CPU), new(1, 1, 1, 0));

    /// <summary>
    /// A run whose fifth sample has a token that no other has, and that token's embedding, which nobody trains, is not a number.
    /// </summary>
    private RunSpec Poisoned()
    {
        var tokenizer = Tokenizer.Load(runs.Spec.Model.Path);
        var (strange, text) = (new List<long>(), new List<long>());
        tokenizer.Encode(Strange, addBos: false, strange);
        var data = runs.Changed("strange", Strangen);
        foreach (var line in File.ReadLines(runs.Mixed())) tokenizer.Encode(line, addBos: false, text);
        var token = strange.Except(text).First();
        return runs.Lora with
        {
            Model = runs.Spec.Model with { Path = runs.Checkpoint(Embedding, rows => rows[token] = torch.full(rows.shape[1], float.NaN)) },
            Data = runs.Spec.Data with { Train = data },
        };
    }

    private static void Strangen(JsonNode[] samples) => samples[4]["conversations"]![0]!["user"] = Strange;
}
