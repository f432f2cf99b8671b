using System.Text.Json;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>The life of a run that nothing happens to, its ends, and what lost messages cost.</summary>
public sealed class ControlPlaneTests
{
    [Fact]
    public async Task A_run_of_two_nodes_goes_from_the_queue_to_its_end()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(minRanks: 2, maxRanks: 2, epochs: 2);
        await cluster.BegunAsync(run, 2);
        Assert.All(cluster.AllWorkers, w => Assert.Equal(["tcp://0.1", "tcp://1.1"], Assert.Single(w.Joined).Assignment.Addresses));
        Assert.Equal([0, 1], cluster.AllWorkers.Select(w => w.Joined.Single().Assignment.Rank).Order());

        cluster.AllRanks(p => p with { Phase = RankPhase.Training, Step = 3, TotalSteps = 8, Loss = 1.5 });
        cluster.AllRanks(p => p with { EvalBefore = p.Rank == 0 ? 0.25 : null });
        var training = await cluster.StatusAsync(run, "step 3 is reported", s => s is { Step: 3, EvalBefore: not null });
        Assert.Equal(
            (RunState.Running, "training", 8, 1.5, 0.25, "anls"),
            (training.State, training.Phase, training.TotalSteps, training.Loss, training.EvalBefore, training.Metric));
        Assert.Equal(
            [("Silo_0", 1), ("Silo_1", 1)],
            (await cluster.Front.NodesAsync()).Select(n => (n.Node, n.LeasedTo.Count(r => r == run))));

        cluster.AllRanks(p => p with { Step = 4, Epoch = 1 });
        await cluster.StatusAsync(run, "an epoch has ended", s => s.Epoch == 1);
        cluster.AllRanks(p => p with { Phase = RankPhase.Finished, Step = 8, Epoch = 2, EvalAfter = p.Rank == 0 ? 0.75 : null });
        var done = await cluster.StatusAsync(run, "the run is done", s => s.IsFinal);

        Assert.Equal(
            (RunState.Done, 8, 2, 0.75, 2, 1),
            (done.State, done.Step, done.Epoch, done.EvalAfter, done.WorldSize, done.Generation));
        Assert.Null(done.Error);
        Assert.Equal((1, 2, "start", 1), (
            done.Generations[0].Generation, done.Generations[0].WorldSize, done.Generations[0].Cause,
            done.Generations[0].FirstStep));
        Assert.True(done.SubmittedAt <= done.StartedAt && done.StartedAt <= done.FinishedAt);
        await cluster.FreeAsync(1);
        await Eventually.SeeAsync("the ended seats are forgotten", () => cluster.AllWorkers.All(w => w.Progress().Count == 0));
        Assert.Equal(RunState.Done, Assert.Single(await cluster.Front.RunsAsync()).State);
        var log = await cluster.LogAsync(run);
        Assert.Equal(
            [$"submitted; results go to {done.Output}", "takes 2 seats: 1 on Silo_0, 1 on Silo_1",
                "generation 1 begins at step 1 with 2 ranks"],
            log.Take(3).Select(line => line.Split(" after ")[0]));
        Assert.Contains("anls before training: 0.25", log);
        Assert.Contains("epoch 1 of 2 ended at step 4, loss 1.5", log);
        Assert.Equal("done", log[^1]);
    }

    [Fact]
    public async Task A_cancelled_run_stops_its_seats_and_frees_them_for_the_next()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(1, 1);
        var next = await cluster.SubmitAsync(1, 1);
        await cluster.BegunAsync(run, 1);
        await cluster.StatusAsync(next, "the second waits",
            s => s.State == RunState.Queued && s.WaitingFor == $"1 rank; the cluster has 1, 0 of them free, leased to {run}");

        await cluster.Grains.GetRun(run).CancelAsync();

        await cluster.StatusAsync(run, "the first is cancelled", s => s.State == RunState.Cancelled);
        await cluster.StatusAsync(next, "the second runs", s => s.State == RunState.Running);
    }

    [Fact]
    public async Task A_run_that_was_cancelled_in_the_queue_never_gets_seats()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 2);
        var run = await cluster.SubmitAsync(4, 4);
        await cluster.StatusAsync(run, "it says what it waits for", s => s.WaitingFor == "4 ranks; the cluster has 2, 2 of them free");
        var small = await cluster.SubmitAsync(1, 2);
        await cluster.BegunAsync(small, 2); // it passes what the cluster cannot hold

        Assert.Equal(RunState.Cancelled, (await cluster.Grains.GetRun(run).CancelAsync()).State);

        Assert.Equal(0, (await cluster.Grains.GetRun(run).StatusAsync()).WorldSize);
    }

    [Fact]
    public async Task A_run_that_is_cancelled_while_its_seats_load_ends_at_once()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        cluster["Silo_0"].LoadsForLong = true;
        var run = await cluster.SubmitAsync(1, 1);
        await cluster.StatusAsync(run, "it gathers", s => s is { Phase: "gathering", WaitingFor: "1 of 1 seats to get ready" });

        await cluster.Grains.GetRun(run).CancelAsync();

        await cluster.StatusAsync(run, "it is cancelled", s => s.State == RunState.Cancelled);
        await cluster.FreeAsync(1);
    }

    [Fact]
    public async Task A_seat_that_parked_early_waits_for_the_others_whatever_its_node_reports()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        cluster["Silo_1"].LoadsForLong = true;
        var run = await cluster.SubmitAsync(2, 2);
        await cluster.StatusAsync(run, "the first has parked", s => s.WaitingFor == "1 of 2 seats to get ready");

        cluster["Silo_0"].All(p => p); // reports again
        cluster["Silo_1"].All(p => p with { Part = new("bytes", 1, 2) });
        Assert.Equal(RankPhase.Parked, Assert.Single(cluster["Silo_0"].Progress()).Phase);

        cluster["Silo_1"].EndLoading();
        await cluster.BegunAsync(run, 2);
    }

    [Theory]
    [InlineData("QueueAsync")]
    [InlineData("TendAsync")]
    [InlineData("ObeyAsync")]
    [InlineData("ReportAsync")]
    public async Task A_run_comes_to_its_end_whatever_message_is_lost(string message)
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        cluster.Lost.Next(message, 3);

        var run = await cluster.SubmitAsync(2, 2);
        await cluster.BegunAsync(run, 2);
        cluster.AllRanks(p => p with { Phase = RankPhase.Finished, Step = 8, Epoch = 1 });

        var end = await cluster.StatusAsync(run, "the run is done", s => s.IsFinal);
        Assert.Equal((RunState.Done, null, 1), (end.State, end.Error, end.Generation));
        Assert.Equal(0, cluster.Lost.Left(message));
        Assert.All(cluster.AllWorkers, w => Assert.Single(w.Joined));
        await cluster.FreeAsync(1);
    }

    [Theory]
    [InlineData("ObeyAsync", false)]
    [InlineData("ReleaseAsync", false)]
    [InlineData("ReleaseAsync", true)]
    public async Task A_cancelled_run_makes_way_whatever_message_is_lost(string message, bool inTheQueue)
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(inTheQueue ? 2 : 1, inTheQueue ? 2 : 1);
        if (!inTheQueue) await cluster.BegunAsync(run, 1);
        var next = await cluster.SubmitAsync(1, 1);
        cluster.Lost.Next(message, 1);

        await cluster.Grains.GetRun(run).CancelAsync();

        await cluster.StatusAsync(next, "the next runs", s => s.State == RunState.Running);
        Assert.Equal(0, cluster.Lost.Left(message));
        Assert.Equal(RunState.Cancelled, (await cluster.Grains.GetRun(run).StatusAsync()).State);
    }

    [Fact]
    public async Task A_seat_whose_thread_computes_on_keeps_its_place()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        cluster["Silo_0"].Lingers = true;
        var run = await cluster.SubmitAsync(1, 1);
        await cluster.BegunAsync(run, 1);
        var next = await cluster.SubmitAsync(1, 1);

        await cluster.Grains.GetRun(run).CancelAsync();

        await cluster.StatusAsync(run, "the first is cancelled", s => s.State == RunState.Cancelled);
        var node = await Eventually.SeeAsync("nobody leases the seat", cluster.Front.NodesAsync, nodes => nodes[0].LeasedTo.Count == 0);
        Assert.Equal((0, new OccupiedSeat(run, 0)), (node[0].Free, Assert.Single(node[0].Occupied)));
        await cluster.StatusAsync(next, "the next waits",
            s => s is { State: RunState.Queued, WaitingFor: "1 rank; the cluster has 1, 0 of them free" });

        cluster["Silo_0"].EndThreads();
        await cluster.StatusAsync(next, "the next runs", s => s.State == RunState.Running);
    }

    [Fact]
    public async Task A_fault_that_all_would_meet_ends_the_run_and_stops_the_other_seats()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(2, 2);
        await cluster.BegunAsync(run, 2);

        cluster["Silo_1"].All(p => p with { Phase = RankPhase.Failed, Fault = FaultKind.Run, Error = "the loss of step 7 is not finite" });

        var failed = await cluster.StatusAsync(run, "the run has failed", s => s.IsFinal);
        Assert.Equal(RunState.Failed, failed.State);
        Assert.Matches(@"^rank \d \(Silo_1\): the loss of step 7 is not finite$", failed.Error);
        await Eventually.SeeAsync("no seat is left", () => cluster.AllWorkers.All(w => w.Progress().Count == 0));
    }

    [Fact]
    public async Task A_seat_that_hangs_does_not_keep_the_run_from_ending()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        cluster["Silo_0"].Hangs = true;
        var run = await cluster.SubmitAsync(1, 1);
        await cluster.BegunAsync(run, 1);

        var stopping = await cluster.Grains.GetRun(run).CancelAsync();

        Assert.Equal((RunState.Running, "stopping"), (stopping.State, stopping.Phase));
        await cluster.StatusAsync(run, "the run is cancelled", s => s.State == RunState.Cancelled);
    }

    [Fact]
    public async Task A_node_that_cannot_carry_its_seat_says_why()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        cluster["Silo_0"].Problem = "model.path: not found, got /models/x; give another.";
        var run = await cluster.SubmitAsync(1, 1);

        var failed = await cluster.StatusAsync(run, "the run has failed", s => s.State == RunState.Failed);

        Assert.Equal("seat 0 (Silo_0): model.path: not found, got /models/x; give another.", failed.Error);
        var record = Path.Combine(cluster.Output, run, "end.json");
        await Eventually.SeeAsync("its end is written down", () => File.Exists(record));
        var end = JsonDocument.Parse(await File.ReadAllTextAsync(record)).RootElement;
        Assert.Equal(("failed", failed.Error), (end.GetProperty("state").GetString(), end.GetProperty("error").GetString()));
        Assert.True(File.Exists(Path.Combine(cluster.Output, run, "run.yaml")));
        Assert.Empty(cluster["Silo_0"].Joined);
    }

    [Fact]
    public async Task All_problems_of_a_spec_come_back_at_once_and_nothing_is_queued()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);

        var reply = await cluster.Front.SubmitAsync(
            new SubmitRequest("""{ "name": "a b", "output": "x", "cluster": { "minRanks": 0 } }"""));

        Assert.Superset(
            new HashSet<string> { "name", "output", "cluster.minRanks" }, reply.Problems.Select(p => p.Split(':')[0]).ToHashSet());
        Assert.Empty(await cluster.Front.RunsAsync());
        Assert.Single((await cluster.Front.SubmitAsync(new SubmitRequest("not json"))).Problems);
    }

    [Fact]
    public async Task A_run_that_is_submitted_twice_under_one_id_runs_once()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        var request = new SubmitRequest("""{ "output": "/o", "model": { "path": "/m" }, "data": { "train": "/t" } }""", "my-run");

        Assert.Equal(await AnswerAsync(), await AnswerAsync());

        Assert.Single(await cluster.Front.RunsAsync());

        async Task<(string, string)> AnswerAsync()
        {
            var reply = await cluster.Front.SubmitAsync(request);
            return (reply.RunId, reply.Output);
        }
    }

    [Fact]
    public async Task What_nobody_submitted_and_nodes_that_do_not_exist_are_named_in_the_error()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);

        var run = await Assert.ThrowsAsync<RunNotFoundException>(() => cluster.Grains.GetRun("nothing").StatusAsync());
        Assert.Contains("'nothing'", run.Message);
        var seat = await Assert.ThrowsAnyAsync<Exception>(() => cluster.Grains.GetRank("r", 0, "gpu-9").ObeyAsync(new("r", "s", 1, [])));
        Assert.Contains("node 'gpu-9' is not in the cluster; its nodes are Silo_0, Silo_1.", seat.Message);
    }
}
