using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Spec.Tests;

/// <summary>What <c>activationCheckpointing: auto</c> comes to.</summary>
public sealed class RecomputeChoiceTests
{
    private static readonly RunSpec Spec = new()
    {
        Precision = "bf16",
        ActivationCheckpointing = "auto",
        Method = new() { Kind = "lora", Rank = 64 },
        Batch = new() { Micro = 8 },
    };

    [Fact]
    public void It_is_the_least_that_fits()
    {
        var seen = Enumerable.Range(1, 400).Select(gigabytes => (Bytes: gigabytes * 1e9, Policy: Choice(gigabytes * 1e9))).ToList();

        Assert.Equal(["full", "selective", "none"], seen.Select(one => one.Policy).Distinct()); // more memory, less recomputing
        Assert.All(seen.Where(one => one.Policy != "full"), one => Assert.True(Need(one.Policy) <= one.Bytes));
        Assert.True(Need("selective") > seen.Last(one => one.Policy == "full").Bytes);
        Assert.True(Need("none") > seen.Last(one => one.Policy == "selective").Bytes);
    }

    [Fact]
    public void What_is_written_stays()
    {
        var written = Spec with { ActivationCheckpointing = "none" };

        Assert.Same(written, RecomputeChoice.Resolve(written, ModelSizes.Released, 1, memory: 1, isAmpere: true));
    }

    [Fact]
    public void A_plan_says_what_it_comes_to_and_fits_by_it()
    {
        var full = Spec with { Method = new() { Kind = "full" }, Batch = new() { Micro = 1 }, Cluster = new() { MaxRanks = 1 } };

        var plan = RunPlan.Of(full, ModelSizes.Released, PlanTarget.Of(GpuCard.Find("h100", "--gpu")), nodes: 1, perNode: 1);

        Assert.Equal(("selective", true), (plan.Spec.ActivationCheckpointing, plan.Fits)); // as was measured: docs/speed.md
    }

    private static string Choice(double memory) =>
        RecomputeChoice.Resolve(Spec, ModelSizes.Released, 1, memory, isAmpere: true).ActivationCheckpointing;

    private static double Need(string policy) =>
        RecomputeChoice.Need(Spec with { ActivationCheckpointing = policy }, ModelSizes.Released, 1, isAmpere: true);
}
