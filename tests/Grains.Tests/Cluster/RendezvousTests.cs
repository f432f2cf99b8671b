using System.Diagnostics;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>
/// From the last offer until every seat knows its rank and its peers, through the real grains of three silos of this process, whose state
/// is in files.
/// </summary>
public sealed class RendezvousTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(8)]
    [InlineData(1024)]
    public async Task All_seats_of_a_run_join_one_generation(int seats)
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: (seats + 2) / 3);
        await WarmUpAsync(cluster);
        foreach (var node in cluster.AllWorkers) node.LoadsForLong = true;
        var run = await cluster.SubmitAsync(cluster.Spec(seats, seats) with { Batch = new() { Global = seats } });
        await cluster.StatusAsync(run, "all load", s => s.WaitingFor == $"{seats} of {seats} seats to get ready");
        await Eventually.SeeAsync("all are taken", () => cluster.AllWorkers.Sum(node => node.Progress().Count) == seats);

        var cold = await RendezvousAsync(cluster, seats, generation: 1, node => node.EndLoading());
        cluster.AllRanks(p => p with { Phase = RankPhase.Training, Step = 1 });
        await cluster.StatusAsync(run, "all train", s => s.Phase == "training");
        var warm = await RendezvousAsync(cluster, seats, generation: 2, node => node.PartAll());
        output.WriteLine($"{seats} seats: {cold.TotalMilliseconds:0.0} ms cold, {warm.TotalMilliseconds:0.0} ms warm");

        var status = await cluster.Grains.GetRun(run).StatusAsync();
        Assert.Equal((RunState.Running, 2L, seats), (status.State, status.Generation, status.WorldSize));
        var ranks = cluster.AllWorkers.SelectMany(node => node.Joined).Where(join => join.Assignment.Generation == 2);
        Assert.Equal(Enumerable.Range(0, seats), ranks.Select(join => join.Assignment.Rank).Order());
        await CancelAsync(cluster, run);
    }

    /// <summary>A first run, so that what is measured is not the compiler.</summary>
    private static async Task WarmUpAsync(TestCluster cluster)
    {
        var run = await cluster.SubmitAsync(3, 3);
        await cluster.BegunAsync(run, 3);
        await CancelAsync(cluster, run);
        foreach (var node in cluster.AllWorkers) node.Joined.Clear();
    }

    private static async Task CancelAsync(TestCluster cluster, string run)
    {
        await cluster.Grains.GetRun(run).CancelAsync();
        await Eventually.SeeAsync("its seats are gone", () => cluster.AllWorkers.All(node => node.Progress().Count == 0));
    }

    private static async Task<TimeSpan> RendezvousAsync(TestCluster cluster, int seats, long generation, Action<FakeWorkers> start)
    {
        var began = Stopwatch.GetTimestamp();
        foreach (var node in cluster.AllWorkers) start(node);
        while (cluster.AllWorkers.Sum(node => node.Joined.Count(join => join.Assignment.Generation == generation)) < seats)
        {
            Assert.True(Stopwatch.GetElapsedTime(began) < Deadline, "not all seats have joined");
            await Task.Delay(1);
        }
        return Stopwatch.GetElapsedTime(began);
    }
}
