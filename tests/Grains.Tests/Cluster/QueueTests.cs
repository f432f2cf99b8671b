using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>Who gets ranks, what is kept of those that had them.</summary>
public sealed class QueueTests
{
    [Fact]
    public async Task A_run_of_higher_priority_gets_what_others_have_above_their_least_after_a_committed_step()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 2);
        var elastic = await cluster.SubmitAsync(minRanks: 1, maxRanks: 4);
        await cluster.TrainAsync(elastic, generation: 1, ranks: 4, step: 3);

        var equal = await cluster.SubmitAsync(minRanks: 1, maxRanks: 1);
        var spec = cluster.Spec(minRanks: 2, maxRanks: 2);
        var urgent = await cluster.SubmitAsync(spec with { Cluster = spec.Cluster with { Priority = 3 } });
        var waiting = await cluster.StatusAsync(urgent, "it says what it waits for", s => s.WaitingFor?.Contains("recalled") == true);
        Assert.Equal(3, waiting.Priority);
        Assert.Equal([urgent, equal], await cluster.Front.WaitingAsync());

        await cluster.BegunAsync(urgent, ranks: 2);
        var left = await cluster.TrainAsync(elastic, generation: 2, ranks: 2, step: 4);
        Assert.Equal("a run of higher priority waits", left.Generations[^1].Cause);
        Assert.DoesNotContain(await cluster.LogAsync(elastic), line => line.Contains("was lost"));
        await cluster.StatusAsync(equal, "nobody gives anything to its equal", s => s is { State: RunState.Queued, WaitingFor: not null });

        await cluster.Grains.GetRun(urgent).CancelAsync();
        await cluster.BegunAsync(equal, ranks: 1); // what is left is for those that wait, and then for who is below its most
        await cluster.StatusAsync(elastic, "it grows again", s => s.WorldSize == 3);
    }

    [Fact]
    public async Task A_run_that_is_forgotten_is_known_to_nobody_and_one_that_is_in_progress_is_not_forgotten()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(minRanks: 1, maxRanks: 1);
        Assert.Contains("phi3v cancel", Assert.Single(await cluster.Front.ForgetAsync(run)));
        await cluster.Grains.GetRun(run).CancelAsync();
        await Eventually.SeeAsync("it has ended", cluster.Front.RunsAsync, runs => runs.Single().IsFinal);

        Assert.Empty(await cluster.Front.ForgetAsync(run));

        Assert.Empty(await cluster.Front.RunsAsync());
        await Assert.ThrowsAsync<RunNotFoundException>(() => cluster.Grains.GetRun(run).StatusAsync());
        Assert.Empty(cluster.StoredFiles(run));
        Assert.Contains("phi3v runs --all", Assert.Single(await cluster.Front.ForgetAsync(run)));
        Assert.Single((await cluster.Front.SubmitAsync(new(Spec.RunSpecJson.ToText(cluster.Spec(1, 1)), run))).RunId.Split(' '));
    }

    [Fact]
    public async Task Grains_of_seats_that_have_left_do_not_pile_up()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 2);
        for (var i = 0; i < 3; i++)
        {
            var run = await cluster.SubmitAsync(minRanks: 2, maxRanks: 2);
            await cluster.BegunAsync(run, ranks: 2);
            await cluster.Grains.GetRun(run).CancelAsync();
            await cluster.StatusAsync(run, "it ends", s => s.IsFinal);
        }

        await Eventually.SeeAsync("the seats' grains are gone", cluster.SeatGrainsAsync, count => count == 0);
    }
}
