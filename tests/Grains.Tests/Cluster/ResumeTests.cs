using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>A run that has ended goes on under its id.</summary>
public sealed class ResumeTests
{
    [Fact]
    public async Task A_cancelled_run_goes_on_with_other_seats_and_a_higher_generation()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 1);
        await cluster.TrainAsync(run, generation: 1, ranks: 1, step: 5);
        await cluster.Grains.GetRun(run).CancelAsync();
        var ended = await cluster.StatusAsync(run, "it is cancelled", s => s.IsFinal);
        // As a checkpoint would have it.
        cluster["Silo_0"].Offers = offer => offer with { Generation = 4, Step = 5, Stage = TrainingStage.Step };

        var reply = await ResumeAsync(cluster, run);

        Assert.Empty(reply.Problems);
        Assert.Equal((run, ended.Output), (reply.RunId, reply.Output));
        var going = await cluster.TrainAsync(run, generation: 5, ranks: 1, step: 6);
        Assert.Equal((RunState.Running, 1, "resume", 6),
            (going.State, going.Life, going.Generations[^1].Cause, going.Generations[^1].FirstStep));
        Assert.Equal([0, 1], cluster["Silo_0"].Taken.Select(t => t.Id.Seat));
        Assert.Equal(run, Assert.Single(await cluster.Front.RunsAsync()).Run);

        await cluster.FinishAsync(run);
        Assert.Equal(RunState.Done, Assert.Single(await cluster.Front.RunsAsync()).State);
    }

    [Fact]
    public async Task A_run_that_is_queued_running_or_done_is_not_resumed()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 1);
        var next = await cluster.SubmitAsync(1, 1);
        await cluster.TrainAsync(run, generation: 1, ranks: 1, step: 5);

        Assert.Contains($"got {run}, which is running", Assert.Single((await ResumeAsync(cluster, run)).Problems));
        Assert.Contains($"got {next}, which is queued", Assert.Single((await ResumeAsync(cluster, next)).Problems));
        await cluster.Grains.GetRun(next).CancelAsync();
        cluster.AllRanks(p => p with { Phase = RankPhase.Finished, Epoch = 1 });
        await cluster.StatusAsync(run, "it is done", s => s.State == RunState.Done);

        Assert.Contains("must have something left to do", Assert.Single((await ResumeAsync(cluster, run)).Problems));
        Assert.Empty((await ResumeAsync(cluster, run, epochs: 2)).Problems);
        await cluster.StatusAsync(run, "it runs", s => s.State == RunState.Running);
    }

    [Fact]
    public async Task A_run_that_the_cluster_does_not_know_is_resumed_from_its_folder()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        cluster["Silo_0"].Offers = offer => offer with { Generation = 7, Step = 30, Stage = TrainingStage.Step };

        Assert.Empty((await ResumeAsync(cluster, "elsewhere")).Problems);

        var going = await cluster.StatusAsync("elsewhere", "it runs", s => s.Generation == 8);
        Assert.Equal((Path.Combine(cluster.Output, "elsewhere"), 31), (going.Output, going.Generations[0].FirstStep));
    }

    private static Task<SubmitReply> ResumeAsync(TestCluster cluster, string run, int epochs = 1) =>
        cluster.Front.ResumeAsync(new(run, RunSpecJson.ToText(cluster.Spec(1, 1, epochs)), Path.Combine(cluster.Output, run)));
}
