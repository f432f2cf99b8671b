using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Spec.Tests;

public sealed class MemoryEstimateTests
{
    private static readonly RunSpec Full = new() { Precision = "bf16", Cluster = new() { MaxRanks = 8 } };

    [Theory]
    [InlineData("bf16", "step", 1, 2 + 4 + 12)]
    [InlineData("bf16", "step", 4, 2 + 4 + 3)]
    [InlineData("fp32", "step", 4, 4 + 4 + 2)]
    [InlineData("fp16", "micro", 4, 2 + 1 + 3)]
    public void Full_fine_tuning_takes_the_documented_bytes_a_parameter(string precision, string reduceEvery, int ranks, double bytes)
    {
        var estimate = MemoryEstimate.Of(Full with { Precision = precision, Batch = new() { ReduceEvery = reduceEvery } }, ranks);

        var unit = reduceEvery == "micro" ? 2 * 4.0 * ModelSizes.Released.Layer : 0;
        Assert.Equal(bytes * ModelSizes.Released.Parameters + unit, estimate.Weights + estimate.Gradients + estimate.Optimizer, 1.0);
    }

    [Fact]
    public void Adapters_shrink_what_is_trained_and_four_bits_what_is_frozen()
    {
        var lora = MemoryEstimate.Of(Full with { Method = new() { Kind = "lora" } }, 1);
        var qlora = MemoryEstimate.Of(Full with { Method = new() { Kind = "qlora" } }, 1);
        var doubly = MemoryEstimate.Of(Full with { Method = new() { Kind = "qlora", DoubleQuantization = true } }, 1);

        Assert.InRange(lora.Gradients + lora.Optimizer, 1, 0.2 * lora.Weights);
        Assert.InRange(qlora.Weights, 0.3 * lora.Weights, 0.5 * lora.Weights);
        var scaleBytes = 4.0 / 64 - 1.0 / 64 - 4.0 / (64 * 256);
        Assert.Equal(scaleBytes * ModelSizes.Released.Layers * ModelSizes.Released.LayerMatrices, qlora.Weights - doubly.Weights, 1.0);
    }

    [Fact]
    public void Recomputing_keeps_less_and_attention_written_out_keeps_more()
    {
        double Activations(string checkpointing, string attention) =>
            MemoryEstimate.Of(Full with { ActivationCheckpointing = checkpointing, Attention = attention }, 1).Activations;

        double[] fused = [Activations("full", "auto"), Activations("selective", "auto"), Activations("none", "auto")];
        Assert.Equal(fused.Order(), fused);
        Assert.Equal(32.0 * 3072 * 2 * 2443 + 23.0 * 1024 * 2 * 17 * 577, fused[0], 1.0);
        Assert.Equal(fused[0], Activations("full", "eager"));
        var scores = 32.0 * 32 * 2443 * 2443 + 23.0 * 17 * 16 * 577 * 577;
        Assert.Equal(fused[2] + 6 * scores, Activations("none", "eager"), 1.0);
    }

    [Fact]
    public void A_frozen_vision_model_keeps_nothing_of_the_tower_and_the_head_alone_nothing_at_all()
    {
        double Activations(string method) => MemoryEstimate.Of(Full with { Method = new() { Kind = method } }, 1).Activations;

        Assert.True(Activations("frozen-vision") < Activations("full"));
        Assert.Equal(0, Activations("head"));
    }

    [Fact]
    public void A_run_that_keeps_little_for_backward_still_needs_room_for_answers()
    {
        var head = MemoryEstimate.Of(Full with { Method = new() { Kind = "head" } }, 1);
        var full = MemoryEstimate.Of(Full, 1);

        Assert.Equal(MemoryEstimate.AnswerCaches, head.Total - head.Weights - head.Gradients - head.Optimizer - 2e9, 1.0);
        Assert.Equal(full.Activations + full.Workspace, full.Total - full.Weights - full.Gradients - full.Optimizer - 2e9, 1.0);
    }

    [Fact]
    public void The_fewest_of_each_kind_are_as_many_as_fit_and_one_fewer_does_not()
    {
        var fits = GpuFit.Fewest(Full);

        Assert.NotEmpty(fits);
        Assert.All(fits, fit =>
        {
            Assert.InRange(MemoryEstimate.Of(Full, fit.Count).Total, 0, fit.Card.UsableBytes);
            if (fit.Count > 1) Assert.True(MemoryEstimate.Of(Full, fit.Count - 1).Total > fit.Card.UsableBytes);
        });
        var counts = GpuFit.Telling(fits).Select(fit => fit.Count);
        Assert.Equal(counts.OrderDescending().Distinct(), counts);
    }

    [Theory]
    [InlineData("bf16", "auto", false)]
    [InlineData("fp16", "flash", false)]
    [InlineData("fp16", "auto", true)]
    public void Cards_before_Ampere_have_neither_bf16_nor_flash_attention(string precision, string attention, bool runs)
    {
        var spec = Full with
        {
            Method = new() { Kind = "qlora" },
            ActivationCheckpointing = "full",
            Precision = precision,
            Attention = attention,
        };

        Assert.Equal(runs, GpuFit.Fewest(spec).Any(fit => fit.Card.Name == "V100"));
        Assert.Contains(GpuFit.Fewest(spec), fit => fit.Card.Name == "A100");
    }

    [Fact]
    public void A_run_that_stays_on_CPUs_needs_no_card() => Assert.Empty(GpuFit.Fewest(Full with { Cluster = new() { Device = "cpu" } }));
}
