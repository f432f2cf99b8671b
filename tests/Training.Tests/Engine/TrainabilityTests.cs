using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Tests.Checkpoints;
using Phi3VCluster.Training.Tests.Optim;

namespace Phi3VCluster.Training.Tests.Engine;

public sealed class TrainabilityTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    private static readonly TrainedTensor[] Trained =
    [
        Weight("model.vision_embed_tokens.img_projection.0.weight", 2, 3), Weight("model.layers.0.mlp.down_proj.weight", 3, 3),
        Weight("model.layers.1.mlp.down_proj.weight", 3, 3), Weight("lm_head.weight", 4, 3),
    ];

    [Theory]
    [InlineData("full", 1, "vision tower, projector, token embedding, decoder, head")]
    [InlineData("full", 3, "vision tower, projector, token embedding, decoder, head")]
    [InlineData("head", 2, "head")]
    [InlineData("frozen-vision", 2, "decoder, head")]
    [InlineData("lora", 2, "vision tower adapters, projector adapters, decoder adapters, head adapters")]
    public void A_run_proves_that_every_group_was_trained(string method, int worldSize, string expected)
    {
        var output = runs.Finish(runs.Spec with { Method = new() { Kind = method, Rank = 4 } }, worldSize);

        var groups = Groups(output);
        Assert.Equal(expected, string.Join(", ", groups.Select(group => group.GetProperty("name").GetString())));
        Assert.All(groups, group =>
        {
            Assert.True(group.GetProperty("gradient_norm").GetDouble() > 0);
            Assert.True(group.GetProperty("weight_change").GetDouble() > 0);
            Assert.Equal(1, group.GetProperty("step").GetInt64());
        });
    }

    [Fact]
    public void It_is_the_same_whatever_the_number_of_ranks()
    {
        var (one, three) = (Groups(runs.Finish(runs.Spec)), Groups(runs.Finish(runs.Spec, worldSize: 3)));

        foreach (var key in (string[])["gradient_norm", "weight_change"])
            foreach (var (expected, actual) in one.Zip(three, (a, b) => (a.GetProperty(key).GetDouble(), b.GetProperty(key).GetDouble())))
                Assert.Equal(expected, actual, 1e-3 * expected);
    }

    [Fact]
    public void Without_images_what_only_they_train_is_left_unproven_and_the_run_goes_on()
    {
        var output = runs.Finish(runs.Spec with { Data = runs.Spec.Data with { Train = runs.TextOnly() } }, worldSize: 2);

        var unproven = Groups(output).Where(group => group.GetProperty("weight_change").ValueKind == JsonValueKind.Null);
        Assert.Equal(["vision tower", "projector"], unproven.Select(group => group.GetProperty("name").GetString()));
    }

    [Fact]
    public void A_run_that_could_learn_from_images_alone_and_saw_none_fails_after_the_epoch()
    {
        var spec = runs.Lora with { Data = runs.Spec.Data with { Train = runs.TextOnly() }, Epochs = 5 };

        var errors = runs.Fail(spec with { Method = spec.Method with { Targets = ["fc1"] } }, worldSize: 2, out var output);

        Assert.All(errors, error =>
            Assert.StartsWith("declared trainable, but no sample of the epoch has an image: vision tower adapters", error));
        Assert.Single(LocalRun.Steps(output));
    }

    [Fact]
    public void They_are_judged_by_the_first_step_that_has_some()
    {
        var spec = runs.Spec with
        {
            Data = runs.Spec.Data with { Train = runs.Changed("later", _ => { }, 2, 0, 1) },
            Batch = new() { Global = 1 },
        };

        var steps = Groups(runs.Finish(spec)).ToDictionary(
            group => group.GetProperty("name").GetString()!, group => group.GetProperty("step").GetInt64());

        Assert.Equal([2, 2, 1, 1, 1],
            ((string[])["vision tower", "projector", "token embedding", "decoder", "head"]).Select(name => steps[name]));
    }

    [Fact]
    public void A_warm_up_from_nothing_is_judged_by_its_second_step()
    {
        var spec = runs.Spec with { Optimizer = runs.Spec.Optimizer with { WarmupSteps = 2 } };

        var output = runs.Finish(spec);

        var first = SmallRuns.Numbers(output, "learning_rate").TakeWhile(rate => rate == 0).Count() + 1;
        Assert.All(Groups(output), group => Assert.Equal(first, group.GetProperty("step").GetInt64()));
    }

    [Fact]
    public void A_group_without_a_gradient_is_refused_by_name()
    {
        var fault = Assert.Throws<RankFault>(() => StepOnce(
            hadImages: true, rate: 0.1, name => name.StartsWith("model.vision", StringComparison.Ordinal) ? 0 : 1));
        Assert.Equal("declared trainable, but got no gradient in step 1: projector (1 tensors); "
            + "choose a method.kind or method.targets that trains what the data can teach.", fault.Message);

        fault = Assert.Throws<RankFault>(() => StepOnce(hadImages: false, rate: 0.1, _ => 0));
        Assert.Contains("step 1: decoder (2 tensors), head (1 tensors);", fault.Message);
    }

    [Fact]
    public void A_group_that_does_not_change_is_refused_by_name() =>
        Assert.Contains("did not change in step 1: projector (1 tensors), decoder (2 tensors), head (1 tensors);",
            Assert.Throws<RankFault>(() => StepOnce(hadImages: true, rate: 1e-30, _ => 1)).Message);

    [Fact]
    public void A_group_of_which_a_part_has_a_gradient_is_trained()
    {
        var groups = StepOnce(hadImages: false, rate: 0.1, name => name.Contains("layers.0", StringComparison.Ordinal) ? 0 : 1);

        Assert.Equal([("projector", false), ("decoder", true), ("head", true)], groups.Select(group => (group.Name, group.Change > 0)));
    }

    private static IReadOnlyList<(string Name, double? Change)> StepOnce(bool hadImages, double rate, Func<string, float> gradient)
    {
        var entries = Trained
            .Select(t => new FlatEntry(t.Tensor, true) { Unit = t.Module, NeedsImages = t.Part == ModelPart.Projector }).ToList();
        using var folder = new TemporaryFolder();
        using var collective = new LoopbackCollective(1);
        using var rank = new OptimizerRank(entries, 0, 1, new());
        using var output = new RunFolder(folder.Path, writes: true);
        rank.Pass([.. entries.SelectMany(entry => Enumerable.Repeat(gradient(entry.Tensor.Name), (int)entry.Tensor.ElementCount))]);

        var plan = new TrainingPlan(Trained, 1);
        using var state = new TrainingState(new(), plan, rank.Parameters, new(1, 1, 1, 0));
        new Trainability(plan, rank.Parameters, rank.Gradients, state, collective, output).Step(rank.Optimizer, rate, step: 1, hadImages);

        return [.. Groups(folder.Path).Select(group => (group.GetProperty("name").GetString()!,
            group.GetProperty("weight_change") is { ValueKind: JsonValueKind.Number } change ? change.GetDouble() : (double?)null))];
    }

    private static List<JsonElement> Groups(string output) =>
        [.. JsonDocument.Parse(File.ReadAllText(Path.Combine(output, "trainability.json"))).RootElement.EnumerateArray()];

    private static TrainedTensor Weight(string name, params long[] shape) =>
        new(new(name, shape), TrainedRole.Weight, name[..^".weight".Length], Decays: true, InitialDeviation: 0);
}
