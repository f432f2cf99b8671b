using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Spec.Recipes;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Engine.Jobs;

namespace Phi3VCluster.Training.Tests.Engine.Jobs;

/// <summary>Rows of the speed table on this CPU, of a model that is smaller still; and what other machines are told they lack.</summary>
[Collection<AloneCollection>] // memory is the process's
public sealed class SpeedTableTests
{
    private const double Least = 1e-3;

    private static readonly ModelSizes Smallest = SpeedTable.CpuModel with
    {
        Width = 64,
        Layers = 1,
        Intermediate = 128,
        Vocabulary = 512,
        TowerWidth = 64,
        TowerLayers = 1,
        TowerIntermediate = 64,
    };

    private static readonly SpeedMachine Cpu = new("cpu", 0, false, 64e9) { Model = Smallest };

    [Fact]
    public void Pages_are_as_long_as_the_recipe_s_on_average()
    {
        foreach (var count in (int[])[SpeedTable.CpuBatch, SpeedTable.EffectiveBatch])
        {
            var pages = SyntheticPages.LikeDocVqa(count, vocabulary: 512);
            Assert.Equal(2443, pages.Average(page => page.InputIds.Length));
            Assert.Equal(count, pages.Select(page => page.Id).Distinct().Count());
            Assert.All(pages, page => Assert.Equal(page.Images[0].TokenCount, page.InputIds.Count(id => id < 0)));
        }
    }

    [Theory]
    [InlineData("full")]
    [InlineData("frozen-vision")]
    [InlineData("lora")]
    [InlineData("qlora")]
    public void A_CPU_s_row_trains_for_real_and_says_what_it_reached(string method)
    {
        var row = SpeedTableRunner.Row(new(method, false, 0), Cpu, Least, CancellationToken.None);

        Assert.Null(row.NotRun);
        Assert.Equal((method, "fp32", 0, 1, 4), (row.Method, row.Precision, row.Gpus, row.MicroBatch, row.EffectiveBatch));
        Assert.Equal((1, "none"), (row.Steps, row.ActivationCheckpointing));
        Assert.True(row.ImagesPerSecond > 0 && row.PeakBytes > 0, $"{row}");
        Assert.InRange(row.Operations!.Value, 1e6, 1e13);
    }

    [Fact]
    public void Ranks_of_a_row_share_its_steps()
    {
        var row = SpeedTable.SpecOf(new("full", false, 0), "fp32") with { Cluster = new() { State = "sharded" } };
        var pages = SyntheticPages.LikeDocVqa(SpeedTable.CpuBatch, 512);

        var (timing, gpuPeak) = new SpeedRanks(2, usesGpus: false, new(row, RandomWeights.ConfigOf(Smallest), pages))
            .Run(Least, CancellationToken.None);

        Assert.Equal((1, SpeedTable.CpuBatch, null), (timing.Steps, timing.Images, gpuPeak));
    }

    [Fact]
    public void A_rank_that_fails_takes_the_others_with_it_and_its_cause_is_told()
    {
        var row = SpeedTable.SpecOf(new("lora", false, 0), "fp32");
        var pages = SyntheticPages.LikeDocVqa(SpeedTable.CpuBatch, 512).ToArray();
        pages[^1] = pages[^1] with { Labels = [] }; // the last rank's

        var error = Assert.Throws<RankFault>(() => new SpeedRanks(2, usesGpus: false, new(row, RandomWeights.ConfigOf(Smallest), pages))
            .Run(Least, CancellationToken.None));

        Assert.Contains("label", error.Message);
    }

    [Fact]
    public async Task A_row_ends_when_the_job_does()
    {
        using var stop = new CancellationTokenSource();
        var row = Task.Run(() => SpeedTableRunner.Row(new("lora", false, 0), Cpu, seconds: 3600, stop.Token));
        await stop.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => row);
    }

    [Theory]
    [InlineData("cuda NVIDIA H100 80GB HBM3", 1, true, 85e9, "full", false, 8, "needs 8 GPUs, this machine has 1")]
    [InlineData("cuda Tesla V100-SXM2-32GB", 8, false, 34e9, "lora", true, 1,
        "flash attention needs compute capability 8.0, Tesla V100-SXM2-32GB has less")]
    [InlineData("cuda NVIDIA A10", 1, true, 24e9, "full", true, 1, "a rank needs 77.7 GB at the least, it would have 24.0 GB")]
    [InlineData("cpu", 0, false, 16e9, "full", false, 8, "needs 8 GPUs, this machine has none")]
    public void A_row_that_a_machine_cannot_run_says_why(
        string device, int gpus, bool isAmpere, double bytes, string method, bool hasFlash, int needs, string why)
    {
        var row = SpeedTableRunner.Row(new(method, hasFlash, needs), new(device, gpus, isAmpere, bytes), Least, CancellationToken.None);

        Assert.Equal((why, null, null, null), (row.NotRun, row.ImagesPerSecond, row.PeakBytes, row.Operations));
    }
}
