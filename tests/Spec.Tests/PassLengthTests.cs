using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Spec.Tests;

/// <summary>What <c>batch.microTokens: auto</c> comes to on a GPU.</summary>
public sealed class PassLengthTests
{
    private static readonly RunSpec Lora = new() { Precision = "bf16", Method = new() { Kind = "lora", Rank = 64 } };

    [Fact]
    public void More_memory_takes_more_pages_up_to_a_length()
    {
        var pages = Enumerable.Range(1, 200).Select(gigabytes => Pages(Lora, gigabytes * 1e9)).ToList();

        Assert.Equal([1, 2, 3], pages.Distinct());
        Assert.Equal(11, Pages(Lora with { Model = new() { NumCrops = 4 } }, 200e9)); // of fewer tokens
    }

    [Fact]
    public void What_it_comes_to_fits()
    {
        for (var memory = 10e9; memory < 200e9; memory += 1e9)
        {
            var chosen = PassLength.OnGpu(Lora, ModelSizes.Released, 1, memory, isAmpere: true);
            Assert.True(Pages(Lora, memory) == 1 || RecomputeChoice.Need(chosen, ModelSizes.Released, 1, isAmpere: true) <= memory);
        }
    }

    [Theory]
    [InlineData(2, null)]
    [InlineData(null, 300)]
    public void What_is_written_stays(int? micro, int? tokens)
    {
        var written = Lora with { Batch = new() { Micro = micro, MicroTokens = tokens } };

        Assert.Same(written, PassLength.OnGpu(written, ModelSizes.Released, 1, memory: 200e9, isAmpere: true));
    }

    [Fact]
    public void A_plan_for_a_card_counts_with_it_and_one_for_a_CPU_does_not()
    {
        var card = PlanTarget.Of(GpuCard.Find("h100", "--gpu"));

        Assert.Equal(3, RunPlan.Of(Lora, ModelSizes.Released, card, nodes: 1, perNode: 1).Micro);
        Assert.Equal(1, RunPlan.Of(Lora, ModelSizes.Released, card with { Card = null }, nodes: 1, perNode: 1).Micro);
    }

    private static int Pages(RunSpec spec, double memory) => LetterPage.Of(spec.Model.NumCrops)
        .PagesAPass(PassLength.OnGpu(spec, ModelSizes.Released, 1, memory, isAmpere: true).Batch);
}
