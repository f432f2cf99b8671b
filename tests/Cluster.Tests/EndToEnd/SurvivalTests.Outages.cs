using System.Diagnostics;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <content>What decides is away: the coordinator's silo, the store; and what comes back too late.</content>
public sealed partial class SurvivalTests
{
    private static readonly TimeSpan StoreIsAway = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_coordinator_that_is_killed_elsewhere_costs_no_step()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);
        var coordinator = await client.CoordinatorAsync(run);
        var node = (await client.Cluster.NodesAsync()).Single(n => n.Silo == coordinator).Node;
        client = await cluster.ClientAsync(All.First(n => n != node));
        Assert.Equal(0, (await _cli.RunAsync("nodes", "drain", node)).ExitCode);
        var before = await SeeAsync(client, run, "its ranks are elsewhere", s => s is { WorldSize: 2, Phase: "training" });
        await StepsOfAsync(run, before.Generation);
        Assert.Equal(coordinator, await client.CoordinatorAsync(run)); // or the test shows nothing

        var (killed, steps) = (Stopwatch.GetTimestamp(), Steps(run).Count);
        cluster.Kill(node);
        await SeeAsync(client, run, "progress is seen again", s => s.Phase == "training" && s.Step > steps);
        output.WriteLine($"kill -9 of the coordinator to progress seen: {Stopwatch.GetElapsedTime(killed).TotalSeconds:0.0} s, "
            + $"steps committed meanwhile: {Steps(run).Count - steps}");

        var after = await client.Run(run).StatusAsync();
        Assert.Equal((before.Generation, before.WorldSize), (after.Generation, after.WorldSize));
        await EndAsync(cluster, client, run);
    }

    /// <summary>It is frozen and answers nobody, or it is dead and refuses connections.</summary>
    [Theory, InlineData(false), InlineData(true)]
    public async Task A_store_that_is_away_for_half_a_minute_costs_no_step(bool isDead)
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);

        int steps;
        using (isDead ? cluster.WithoutSupervisor() : cluster.WithoutStore())
        {
            if (isDead) cluster.KillStore();
            await Task.Delay(StoreIsAway);
            steps = Steps(run).Count;
            await Eventually.Holds(() => Steps(run).Count > steps + 3, CliSandbox.Timeout, "training goes on at the end of it too");
        }

        var back = Stopwatch.GetTimestamp();
        foreach (var node in All)
        {
            var at = await cluster.ClientAsync(node);
            await GatewayClient.SeeAsync($"{node} hears the nodes", at.Cluster.NodesAsync,
                nodes => nodes.Count(n => n.State == NodeState.Ready) == 3);
            await GatewayClient.SeeAsync($"{node} hears the run", at.Run(run).StatusAsync, s => s.Step > steps && s.Phase == "training");
        }
        await GatewayClient.SeeAsync("the list of runs is there", client.Cluster.RunsAsync,
            runs => runs.Single().State == RunState.Running);
        output.WriteLine($"the store is back to all grains answer: {Stopwatch.GetElapsedTime(back).TotalSeconds:0.0} s");

        await EndAsync(cluster, client, run);
        Assert.All(Steps(run), step => Assert.Equal(1, step.GetProperty("generation").GetInt64()));
    }

    [Fact]
    public async Task A_silo_that_thaws_when_its_place_is_taken_changes_nothing()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);

        RunStatus taken;
        using (cluster.Without("n2"))
        {
            await SeeAsync(client, run, "two train", s => s is { WorldSize: 2, Phase: "training" });
            cluster.AddLate("n4");
            taken = await SeeAsync(client, run, "another has its place",
                s => s is { WorldSize: 3, Phase: "training" } && s.Nodes.Any(n => n.Node == "n4"));
            await StepsOfAsync(run, taken.Generation);
        }

        await cluster.SeeNodesAsync("what was frozen is there again, and empty",
            nodes => nodes.Any(n => n is { Node: "n2", State: NodeState.Ready, Free: 1, LeasedTo.Count: 0 }));
        var steps = Steps(run).Count;
        await Eventually.Holds(() => Steps(run).Count > steps + 10, CliSandbox.Timeout, "training goes on");
        var now = await client.Run(run).StatusAsync();
        Assert.Equal([], now.Generations.Where(one => one.Generation > taken.Generation).Select(one => one.Cause));
        Assert.Equal((taken.Generation, 3), (now.Generation, now.WorldSize));
        await CancelAsync(client, run);
        EachOnce(run);
    }
}
