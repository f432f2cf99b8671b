using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>A run loses seats and gains others, and goes on.</summary>
public sealed class RegroupTests
{
    [Fact]
    public async Task A_killed_node_costs_its_seats_and_the_run_goes_on_with_the_others()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 3);
        await cluster.TrainAsync(run, generation: 1, ranks: 3, step: 40);

        await cluster.KillAsync("Silo_2");

        var going = await cluster.TrainAsync(run, generation: 2, ranks: 2, step: 41);
        Assert.Equal((RunState.Running, null), (going.State, going.Error));
        Assert.Equal((2, 2, 41), (going.Generations[1].Generation, going.Generations[1].WorldSize, going.Generations[1].FirstStep));
        Assert.Equal("Silo_2 was lost", going.Generations[1].Cause);
        Assert.Equal(["Silo_0", "Silo_1"], going.Nodes.Select(n => n.Node).Order());
        var log = await cluster.LogAsync(run);
        Assert.Contains(log, line => line.StartsWith("Silo_2 was lost: ", StringComparison.Ordinal));
        Assert.Contains(log, line => line.StartsWith("generation 2 begins at step 41 with 2 ranks after ", StringComparison.Ordinal));
        await Eventually.SeeAsync("two nodes are left", cluster.Front.NodesAsync,
            nodes => nodes.Where(n => n.State == NodeState.Ready)
                .Select(n => (n.Node, n.Free)).SequenceEqual([("Silo_0", 0), ("Silo_1", 0)]));
    }

    [Fact]
    public async Task Below_its_least_a_run_waits_and_goes_on_with_a_node_that_joins()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(3, 3);
        await cluster.TrainAsync(run, generation: 1, ranks: 3, step: 7);

        await cluster.KillAsync("Silo_2");
        var waits = await cluster.StatusAsync(run, "it is short", s => s.Phase == "short");
        Assert.Equal((RunState.Running, "more seats after Silo_2 was lost: 2 parked, 3 needed"), (waits.State, waits.WaitingFor));

        await cluster.AddNodeAsync();
        await cluster.TrainAsync(run, generation: 2, ranks: 3, step: 8);
    }

    [Fact]
    public async Task A_node_that_joins_makes_the_run_larger_at_a_boundary()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 2);
        await cluster.TrainAsync(run, generation: 1, ranks: 1, step: 5);

        var node = await cluster.AddNodeAsync();

        var grown = await cluster.TrainAsync(run, generation: 2, ranks: 2, step: 6);
        Assert.Equal($"{node} joined", grown.Generations[^1].Cause);
        Assert.Equal((0, 1L), cluster["Silo_0"].Parted.Select(p => (p.Id.Seat, p.Generation)).Distinct().Single());
    }

    [Fact]
    public async Task What_one_run_leaves_makes_another_larger()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var first = await cluster.SubmitAsync(1, 1);
        var second = await cluster.SubmitAsync(1, 2);
        await cluster.BegunAsync(first, 1);
        await cluster.TrainAsync(second, generation: 1, ranks: 1, step: 3);

        await cluster.Grains.GetRun(first).CancelAsync();

        await cluster.TrainAsync(second, generation: 2, ranks: 2, step: 4);
    }

    [Fact]
    public async Task A_run_that_stays_short_leaves_its_seats_to_one_that_waits_and_has_them_back_when_there_are_enough()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var large = await cluster.SubmitAsync(cluster.Spec(2, 2) with { Failure = new() { ShortSeconds = 1 } });
        await cluster.TrainAsync(large, generation: 1, ranks: 2, step: 5);
        foreach (var node in cluster.AllWorkers) node.DiskIsFull = true;
        await cluster.KillAsync("Silo_1");
        await cluster.StatusAsync(large, "it is short", s => s.Phase == "short");
        var small = await cluster.SubmitAsync(1, 1);
        await Eventually.SeeAsync("it is asked to yield", () => cluster["Silo_0"].Kept > 1);
        Assert.Equal("short", (await cluster.Grains.GetRun(large).StatusAsync()).Phase); // it keeps what no disk holds

        cluster["Silo_0"].DiskIsFull = false;

        await cluster.TrainAsync(small, generation: 1, ranks: 1, step: 3);
        var waiting = await cluster.StatusAsync(large, "it waits", s => s.State == RunState.Queued);
        Assert.Equal(5, waiting.CheckpointStep);
        await cluster.StatusAsync(large, "and says for what",
            s => s.WaitingFor == $"2 ranks; the cluster has 1, 0 of them free, leased to {small}");
        foreach (var node in cluster.AllWorkers)
            node.Offers = offer => offer with { Generation = 1, Step = 5, Stage = TrainingStage.Step }; // as its checkpoint has it
        var next = await cluster.SubmitAsync(1, 1); // comes after it
        var added = await cluster.AddNodeAsync();
        cluster[added].Offers = cluster["Silo_0"].Offers;
        await Eventually.SeeAsync("the new node takes runs", cluster.Front.NodesAsync, // until then there are never enough, and others pass
            nodes => nodes.Count(node => node.State == NodeState.Ready) == 2);
        await cluster.FinishAsync(small);

        var going = await cluster.TrainAsync(large, generation: 2, ranks: 2, step: 6);
        Assert.Equal((RunState.Running, 6), (going.State, going.Generations[^1].FirstStep));
        Assert.Equal(RunState.Queued, (await cluster.Grains.GetRun(next).StatusAsync()).State);
        Assert.Contains(await cluster.LogAsync(large), line => line == "leaves its 1 seat to another run: it needs 2, and waits");
    }

    [Fact]
    public async Task A_node_knows_whether_the_coordinator_of_its_seats_answers()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 1);
        await cluster.TrainAsync(run, generation: 1, ranks: 1, step: 5);
        await Eventually.SeeAsync("it answers", () => cluster["Silo_0"].HasAnswer);

        cluster.Lost.Next("ReportAsync", 3);
        await Eventually.SeeAsync("one report is lost", () => cluster.Lost.Left("ReportAsync") < 3);
        cluster["Silo_0"].HasAnswer = false;
        await Eventually.SeeAsync("all are", () => cluster.Lost.Left("ReportAsync") == 0);

        Assert.False(cluster["Silo_0"].HasAnswer);
        await Eventually.SeeAsync("it answers again", () => cluster["Silo_0"].HasAnswer);
    }

    [Fact]
    public async Task A_rank_that_hangs_is_named_and_gone_on_without_and_its_place_is_nobody_s_until_its_thread_ends()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 3);
        await cluster.TrainAsync(run, generation: 1, ranks: 3, step: 5);
        await cluster.TrainAsync(run, generation: 1, ranks: 3, step: 6);

        var hung = (await cluster.Grains.GetRun(run).StatusAsync()).Nodes.Single(node => node.Ranks.Contains(0)).Node;
        cluster[hung].Hangs = true;
        cluster.AllRanks(p => p.Rank == 0 ? p : p with { Entered = 7 });

        var smaller = await cluster.TrainAsync(run, generation: 2, ranks: 2, step: 7);
        Assert.Equal($"{hung} hung", smaller.Generations[^1].Cause);
        var log = await cluster.LogAsync(run);
        Assert.Contains(log, line => line.StartsWith($"rank 0 ({hung}) hangs: nothing has come of it for "));
        Assert.Single(log,
            line => line.StartsWith($"rank 0 ({hung}) is behind: ") && line.Contains("training after step 6")); // said before
        await Eventually.SeeAsync("its place is occupied", cluster.Front.NodesAsync,
            nodes => nodes.Single(node => node.Node == hung) is { State: NodeState.Ready, LeasedTo.Count: 0, Free: 0 });
        cluster[hung].Hangs = false;
        cluster[hung].All(p => p with { Phase = RankPhase.Stopped });
        await cluster.StatusAsync(run, "it takes another seat there", s => s.SeatsNumbered == 4);
    }

    [Fact]
    public async Task A_seat_with_a_fault_of_its_own_is_given_up_and_another_taken()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 2);
        await cluster.TrainAsync(run, generation: 1, ranks: 2, step: 5);

        cluster["Silo_1"].All(p => p with { Phase = RankPhase.Failed, Fault = FaultKind.Seat, Error = "CUDA error 700" });

        var smaller = await cluster.TrainAsync(run, generation: 2, ranks: 1, step: 6);
        Assert.Equal("Silo_1 had a fault", smaller.Generations[^1].Cause);
        await cluster.TrainAsync(run, generation: 3, ranks: 2, step: 7);
        Assert.Equal(3, (await cluster.Grains.GetRun(run).StatusAsync()).SeatsNumbered);
    }

    [Fact]
    public async Task A_drained_node_is_left_at_a_boundary_and_gets_nothing_until_it_is_undrained()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 2);
        await cluster.TrainAsync(run, generation: 1, ranks: 2, step: 5);

        Assert.Empty(await cluster.Front.DrainAsync("Silo_1"));

        var smaller = await cluster.TrainAsync(run, generation: 2, ranks: 1, step: 6);
        Assert.Equal("Silo_1 drains", smaller.Generations[^1].Cause);
        await Eventually.SeeAsync("the node is empty", () => cluster["Silo_1"].Progress().Count == 0);
        await Eventually.SeeAsync("it drains and is free", cluster.Front.NodesAsync,
            nodes => nodes[1] is { State: NodeState.Draining, Free: 1, LeasedTo.Count: 0 });

        Assert.Empty(await cluster.Front.UndrainAsync("Silo_1"));
        await cluster.TrainAsync(run, generation: 3, ranks: 2, step: 7);
    }

    [Fact]
    public async Task A_drain_that_the_run_cannot_spare_waits_and_says_so()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(2, 2);
        await cluster.TrainAsync(run, generation: 1, ranks: 2, step: 5);

        Assert.Empty(await cluster.Front.DrainAsync("Silo_1"));

        await cluster.StatusAsync(run, "it says so",
            s => s is { Phase: "training", WaitingFor: "the drain of Silo_1 waits: 1 ranks would be left, and the run needs 2" });
        await cluster.AddNodeAsync();
        await cluster.TrainAsync(run, generation: 2, ranks: 2, step: 6);
        await Eventually.SeeAsync("the node is empty", () => cluster["Silo_1"].Progress().Count == 0);
    }

    [Fact]
    public async Task A_drain_is_refused_of_no_node_and_of_the_only_node()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);

        Assert.Equal(["node: must be one of the cluster's, got x; choose one of Silo_0."], await cluster.Front.DrainAsync("x"));
        Assert.Equal(["node: must be one of the cluster's, got x; choose one of Silo_0."], await cluster.Front.UndrainAsync("x"));
        Assert.StartsWith("node: must not be the only one that takes runs, got Silo_0",
            Assert.Single(await cluster.Front.DrainAsync("Silo_0")));
    }

    [Fact]
    public async Task A_silo_that_stops_is_left_at_a_boundary_first()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 2);
        await cluster.TrainAsync(run, generation: 1, ranks: 2, step: 5);

        var stopping = cluster.StopAsync("Silo_1");
        var smaller = await cluster.TrainAsync(run, generation: 2, ranks: 1, step: 6);
        await stopping;

        Assert.Equal("Silo_1 drains", smaller.Generations[^1].Cause);
        Assert.Single(cluster["Silo_1"].Parted);
        Assert.DoesNotContain(await cluster.LogAsync(run), line => line.Contains("lost", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_run_goes_on_when_its_coordinator_is_killed()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 3);
        await cluster.TrainAsync(run, generation: 1, ranks: 3, step: 5);
        var coordinator = await cluster.NodeOfCoordinatorAsync(run);

        await cluster.KillAsync(coordinator);

        var going = await cluster.TrainAsync(run, generation: 2, ranks: 2, step: 6);
        Assert.Equal(RunState.Running, going.State);
        Assert.DoesNotContain(coordinator, going.Nodes.Select(n => n.Node));
    }

    [Theory]
    [InlineData("ObeyAsync")]
    [InlineData("ReportAsync")]
    public async Task A_run_regroups_whatever_message_is_lost(string message)
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 3);
        await cluster.TrainAsync(run, generation: 1, ranks: 3, step: 5);
        cluster.Lost.Next(message, 3);

        await cluster.KillAsync("Silo_2");

        await cluster.TrainAsync(run, generation: 2, ranks: 2, step: 6);
        Assert.Equal(0, cluster.Lost.Left(message));
    }

    [Fact]
    public async Task A_loss_after_the_last_step_is_a_regroup_too()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 2);
        await cluster.TrainAsync(run, generation: 1, ranks: 2, step: 8);
        cluster["Silo_0"].All(p => p with { Phase = RankPhase.Finished });
        cluster["Silo_1"].All(p => p with { Phase = RankPhase.Exporting });

        await cluster.KillAsync("Silo_1");

        await cluster.StatusAsync(run, "it regroups", s => s is { Generation: 2, WorldSize: 1 });
        await cluster.FinishAsync(run);
    }

    [Fact]
    public async Task A_run_whose_only_silo_was_restarted_goes_on()
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-").FullName;
        string run, queued;
        await using (var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1, folder))
        {
            run = await cluster.SubmitAsync(1, 1);
            queued = await cluster.SubmitAsync(1, 1);
            await cluster.TrainAsync(run, generation: 1, ranks: 1, step: 5);
            await cluster.KillAsync("Silo_0");
        }

        await using var restarted = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1, folder);

        await restarted.TrainAsync(run, generation: 2, ranks: 1, step: 6);
        Assert.Equal(RunState.Queued, (await restarted.Grains.GetRun(queued).StatusAsync()).State);
        Assert.Equal([queued, run], (await restarted.Front.RunsAsync()).Select(r => r.Run));
        Directory.Delete(folder, recursive: true);
    }
}
