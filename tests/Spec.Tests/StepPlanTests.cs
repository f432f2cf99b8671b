using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Spec.Tests;

public sealed class StepPlanTests
{
    private static readonly RunSpec Spec = new() { Batch = new() { Global = 4 }, Epochs = 3, Optimizer = new() { LearningRate = 2e-4 } };

    [Theory]
    [InlineData(10, null, 3, 9)]
    [InlineData(10, 4, 3, 4)]
    [InlineData(8, 100, 2, 6)]
    public void Steps_follow_from_samples_batch_epochs_and_the_most_that_is_allowed(int samples, int? maxSteps, long perEpoch, long total)
    {
        var plan = StepPlan.Of(Spec with { MaxSteps = maxSteps }, samples);

        Assert.Equal((perEpoch, total), (plan.PerEpoch, plan.Total));
    }

    [Theory]
    [InlineData(10, 0)]
    [InlineData(400, 9)]
    [InlineData(100_000, 50)]
    public void Without_a_number_the_warm_up_is_three_percent_and_fifty_steps_at_most(int samples, long warmup) =>
        Assert.Equal(warmup, StepPlan.Of(Spec, samples).Warmup);

    [Fact]
    public void A_run_that_ends_within_its_warm_up_says_which_rate_it_reaches()
    {
        var spec = Spec with { Epochs = 1, Optimizer = Spec.Optimizer with { WarmupSteps = 50 } };

        Assert.Equal(
            ["optimizer.warmupSteps: the run's 2 steps end within its warm-up of 50: the rate reaches 4e-6 of 2e-4; "
                + "lower it, raise epochs, or lower batch.global."],
            StepPlan.Of(spec, 8).Warnings(spec));
        Assert.Empty(StepPlan.Of(Spec, 8).Warnings(Spec));
    }

    [Fact]
    public void A_batch_beyond_all_samples_and_steps_beyond_all_epochs_are_told()
    {
        var spec = Spec with { Batch = new() { Global = int.MaxValue }, MaxSteps = 9 };

        Assert.Equal(
            ["batch.global: there are only 8 training samples, got 2147483647: every epoch is one step over all of them; lower it.",
                "maxSteps: 3 epochs are over after 3 steps, got 9; raise epochs."],
            StepPlan.Of(spec, 8).Warnings(spec));
    }

    [Fact]
    public void Steps_that_nobody_can_count_are_refused_with_the_arithmetic()
    {
        var spec = Spec with { Epochs = 2_000_000_000 };

        Assert.Equal("epochs: 2,000,000,000 epochs × 2 steps are 4,000,000,000 steps, of at most 2,147,483,647 steps, got 2000000000; "
            + "lower it, or give maxSteps.", StepPlan.Of(spec, 8).Problem(spec));
        Assert.Null(StepPlan.Of(spec, 4).Problem(spec));
        var ends = spec with { MaxSteps = 10 };
        Assert.Null(StepPlan.Of(ends, 8).Problem(ends));
    }

    [Theory]
    [InlineData("optimizer.learningRate=0.5",
        "optimizer.learningRate: a step moves every weight by about as much, got 0.5; common values are 1e-5 to 1e-3.")]
    [InlineData("epochs=2000", "epochs: so many passes over the samples are hardly meant, got 2000; lower it, or give maxSteps.")]
    [InlineData("data.evalRows=9", "data.evalRows: all rows of data.eval evaluate, got 9 beside it; leave one of the two out.")]
    [InlineData("data.eval=null",
        "data.eval: nothing is held out, so nothing is evaluated; name samples in data.eval, or a number in data.evalRows.")]
    public void What_is_accepted_but_will_not_happen_is_told(string set, string warning) => Assert.Equal([warning],
        RunSpecValidation.Warnings(RunSpecYaml.Parse("model: { path: /m }\ndata: { train: /d.jsonl, eval: /e.jsonl }\n", [set])));
}
