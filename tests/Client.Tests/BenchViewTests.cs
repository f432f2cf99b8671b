using System.Text.Json;
using Phi3VCluster.Client.Recipes;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Client.Tests;

/// <summary>The form of the speed table.</summary>
public sealed class BenchViewTests
{
    private static readonly BenchRow Full = new("full", "bf16", false, 1, 1, 64)
    {
        ActivationCheckpointing = "full",
        Steps = 2,
        ImagesPerSecond = 2,
        PeakBytes = 78.5e9,
        Operations = 175e12,
    };

    private static readonly BenchResult Result = new("cuda NVIDIA H100 80GB HBM3", 1, "4,131 M parameters", true, 2443, 16.25, 700e12,
    [
        Full,
        Full with { Method = "lora", FlashAttention = true, ImagesPerSecond = 6.5, PeakBytes = null },
        new("full", "bf16", true, 8, 1, 64) { NotRun = "needs 8 GPUs, this machine has 1" },
        new("lora", "bf16", true, 8, 1, 64) { NotRun = "needs 8 GPUs, this machine has 1" },
    ], 100);

    [Fact]
    public void Machines_get_every_row_with_its_figures_or_its_reason()
    {
        var rows = JsonSerializer.SerializeToElement(new BenchView(Result).Document()).GetProperty("Rows").EnumerateArray().ToList();

        Assert.Equal([1, 3.25], rows.Take(2).Select(row => row.GetProperty("Speedup").GetDouble()));
        Assert.Equal(0.25, rows[0].GetProperty("Mfu").GetDouble());
        Assert.Equal(78.5, rows[0].GetProperty("PeakGb").GetDouble());
        Assert.Equal(JsonValueKind.Null, rows[1].GetProperty("PeakGb").ValueKind);
        Assert.All(rows.Skip(2), row => Assert.Equal(
            (JsonValueKind.Null, "needs 8 GPUs, this machine has 1"),
            (row.GetProperty("Speedup").ValueKind, row.GetProperty("NotRun").GetString())));
        Assert.True(new BenchView(Result).HasRun);
        Assert.False(new BenchView(Result with { Rows = [.. Result.Rows.Skip(2)] }).HasRun);
    }

    [Fact]
    public void The_table_s_rows_are_the_recipes()
    {
        var specs = BuiltInRecipes.Names.Where(name => name.StartsWith("speed-a100-", StringComparison.Ordinal))
            .Select(name => BuiltInRecipes.Find(name)!.Spec);

        Assert.Equal(
            specs.Select(one => new SpeedRow(one.Method.Kind, one.Attention == "flash", one.Cluster.MinRanks)).OrderBy(row => $"{row}"),
            SpeedTable.Published.OrderBy(row => $"{row}"));
        Assert.All(specs, one => Assert.Equal((SpeedTable.EffectiveBatch, 1), (one.Batch.Global, one.Batch.Micro)));
    }
}
