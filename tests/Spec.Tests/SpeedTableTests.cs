using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Spec.Tests;

/// <summary>Which rows of the speed table are a machine's.</summary>
public sealed class SpeedTableTests
{
    [Fact]
    public void A_CPU_has_a_row_a_method_and_the_published_ones_are_listed_after_them()
    {
        var rows = SpeedTable.RowsFor(0, []);

        Assert.Equal(SpeedTable.Methods.Select(method => new SpeedRow(method, false, 0)), rows.Take(4));
        Assert.Equal(SpeedTable.Published, rows.Skip(4));
    }

    [Theory]
    [InlineData(1, 8)]
    [InlineData(4, 16)]
    [InlineData(8, 16)]
    public void GPUs_are_taken_one_by_one_and_all_together_with_flash_attention_and_without(int gpus, int own)
    {
        var rows = SpeedTable.RowsFor(gpus, []);

        Assert.Equal(own, rows.Count(row => row.Gpus == 1 || row.Gpus == gpus));
        Assert.Equal(new("full", false, 1), rows[0]);
        Assert.Equal(rows.Distinct(), rows);
        Assert.Empty(SpeedTable.Published.Except(rows));
    }

    [Fact]
    public void Rows_can_be_those_of_some_methods() =>
        Assert.All(SpeedTable.RowsFor(1, ["lora", "full"]), row => Assert.Contains(row.Method, (string[])["lora", "full"]));

    [Fact]
    public void A_row_s_spec_is_sound_and_a_step_is_the_table_s()
    {
        Assert.All(SpeedTable.RowsFor(1, []), row =>
        {
            var spec = SpeedTable.SpecOf(row, "bf16");
            Assert.Equal((64, 1, row.HasFlash ? "flash" : "eager"), (spec.Batch.Global, spec.Batch.Micro, spec.Attention));
            Assert.Contains(spec.Method.Kind, KnownNames.Methods);
        });
    }

    [Fact]
    public void What_memory_holds_is_recomputed_least()
    {
        string? Policy(string method, double gigabytes, int ranks = 1) => RecomputeChoice.Fitting(
            SpeedTable.SpecOf(new(method, true, ranks), "bf16"), ModelSizes.Released, ranks, gigabytes * 1e9, isAmpere: true)
            ?.ActivationCheckpointing;

        Assert.Equal(("none", "none"), (Policy("lora", 80), Policy("full", 140)));
        Assert.Equal("selective", Policy("full", 85));
        Assert.Null(Policy("full", 40));
        Assert.NotNull(Policy("full", 40, ranks: 8));
    }

    [Theory]
    [InlineData(0, "lora", "--seconds: must be above 0 and at most 3600, got 0; common values are 5 and 20.")]
    [InlineData(double.NaN, "lora", "--seconds: must be above 0 and at most 3600, got NaN; common values are 5 and 20.")]
    [InlineData(5, "lorra", "--method: unknown, got lorra; did you mean lora?")]
    [InlineData(5, "head", "--method: unknown, got head; ")]
    public void A_wrong_value_is_named(double seconds, string method, string problem) => Assert.StartsWith(
        problem, Assert.Single(ModelJobValidation.Problems(new BenchJob { Seconds = seconds, Methods = [method] })));
}
