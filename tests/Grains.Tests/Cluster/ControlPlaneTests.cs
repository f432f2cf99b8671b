using System.Text.Json;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

public sealed class ControlPlaneTests
{
    [Fact]
    public async Task A_run_of_two_nodes_goes_from_the_queue_to_its_end()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(minRanks: 2, maxRanks: 2, epochs: 2);
        await cluster.BegunAsync(run, 2);
        Assert.All(cluster.AllWorkers, w => Assert.Equal(["tcp://0", "tcp://1"], Assert.Single(w.Begun).Addresses));

        cluster.AllRanks(p => p with { Phase = RankPhase.Training, Step = 3, TotalSteps = 8, Loss = 1.5 });
        cluster.AllRanks(p => p with { EvalBefore = p.Id.Rank == 0 ? 0.25 : null });
        var training = await cluster.StatusAsync(run, "step 3 is reported", s => s is { Step: 3, EvalBefore: not null });
        Assert.Equal(
            (RunState.Running, "training", 8, 1.5, 0.25, "anls"),
            (training.State, training.Phase, training.TotalSteps, training.Loss, training.EvalBefore, training.Metric));
        Assert.Equal(
            [("Silo_0", 1), ("Silo_1", 1)],
            (await cluster.Front.NodesAsync()).Select(n => (n.Node, n.LeasedTo.Count(r => r == run))));

        cluster.AllWorkers.First().All(p => p with { Phase = RankPhase.AtBarrier, Step = 4, Epoch = 1 });
        await cluster.StatusAsync(run, "the first node is at the barrier", s => s.Epoch == 1);
        Assert.All(cluster.AllWorkers, w => Assert.Empty(w.Passed));
        cluster.AllWorkers.Last().All(p => p with { Phase = RankPhase.AtBarrier, Step = 4, Epoch = 1 });
        await Eventually.SeeAsync("both ranks pass the barrier", () => cluster.AllWorkers.All(w => w.Passed.Any(p => p.Epoch == 1)));

        cluster.AllRanks(p => p with { Phase = RankPhase.Finished, Step = 8, Epoch = 2, EvalAfter = p.Id.Rank == 0 ? 0.75 : null });
        var done = await cluster.StatusAsync(run, "the run is done", s => s.IsFinal);

        Assert.Equal(
            (RunState.Done, 8, 2, 0.75, 2, 1),
            (done.State, done.Step, done.Epoch, done.EvalAfter, done.WorldSize, done.Generation));
        Assert.Null(done.Error);
        Assert.True(done.SubmittedAt <= done.StartedAt && done.StartedAt <= done.FinishedAt);
        await Eventually.SeeAsync("the ranks are free again", cluster.Front.NodesAsync, nodes => nodes.All(n => n.Free == 1));
        await Eventually.SeeAsync("the ended ranks are forgotten", () => cluster.AllWorkers.All(w => w.Progress().Count == 0));
        Assert.Equal(RunState.Done, Assert.Single(await cluster.Front.RunsAsync()).State);
        var log = await cluster.Grains.GetRun(run).LogAsync(0);
        Assert.Contains(log.Lines, l => l.EndsWith("anls before training: 0.25", StringComparison.Ordinal));
        Assert.EndsWith("done", log.Lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cancelled_run_stops_its_ranks_and_frees_them_for_the_next()
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
    public async Task A_run_that_was_cancelled_in_the_queue_never_gets_ranks()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 2);
        var run = await cluster.SubmitAsync(4, 4);
        await cluster.StatusAsync(run, "it says what it waits for", s => s.WaitingFor == "4 ranks; the cluster has 2, 2 of them free");
        var small = await cluster.SubmitAsync(1, 2);
        await cluster.StatusAsync(small, "nobody overtakes", s => s.WaitingFor == "the run ahead of it in the queue");

        Assert.Equal(RunState.Cancelled, (await cluster.Grains.GetRun(run).CancelAsync()).State);

        await cluster.BegunAsync(small, 2);
        Assert.Equal(0, (await cluster.Grains.GetRun(run).StatusAsync()).WorldSize);
    }

    [Fact]
    public async Task A_rank_that_joined_early_waits_for_the_others_whatever_its_node_reports()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        cluster["Silo_1"].Preflight.Reset(); // a slow disk
        var run = await cluster.SubmitAsync(2, 2);
        await cluster.StatusAsync(run, "the first has joined", s => s.WaitingFor == "1 of 2 ranks to join");

        foreach (var note in (string[])["one report", "another report"])
        {
            cluster["Silo_0"].All(p => p with { Notes = [.. p.Notes, note] });
            await Eventually.SeeAsync($"{note} has arrived", () => cluster.Grains.GetRun(run).LogAsync(0),
                log => log.Lines.Any(line => line.EndsWith(note, StringComparison.Ordinal)));
        }
        Assert.Equal(RankPhase.Prepared, Assert.Single(cluster["Silo_0"].Progress()).Phase);

        cluster["Silo_1"].Preflight.Set();
        await cluster.BegunAsync(run, 2);
    }

    [Theory]
    [InlineData("QueueAsync")]
    [InlineData("StartAsync")]
    [InlineData("PrepareAsync")]
    [InlineData("JoinAsync")]
    [InlineData("BeginAsync")]
    [InlineData("PassBarrierAsync")]
    [InlineData("ReportAsync")]
    public async Task A_run_comes_to_its_end_whatever_message_is_lost(string message)
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        cluster.Lost.Next(message, 2);

        var run = await cluster.SubmitAsync(2, 2);
        await cluster.BegunAsync(run, 2);
        cluster.AllRanks(p => p with { Phase = RankPhase.AtBarrier, Step = 4, Epoch = 1 });
        await Eventually.SeeAsync("both ranks pass the barrier", () => cluster.AllWorkers.All(w => w.Passed.Any(p => p.Epoch == 1)));
        cluster.AllRanks(p => p with { Phase = RankPhase.Finished, Step = 8, Epoch = 1 });

        var end = await cluster.StatusAsync(run, "the run is done", s => s.IsFinal);
        Assert.Equal((RunState.Done, null), (end.State, end.Error));
        Assert.Equal(0, cluster.Lost.Left(message));
        Assert.All(cluster.AllWorkers, w => Assert.Single(w.Begun));
        await Eventually.SeeAsync("the ranks are free again", cluster.Front.NodesAsync, nodes => nodes.All(n => n.Free == 1));
    }

    [Theory]
    [InlineData("AbortAsync", false)]
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
    public async Task A_rank_whose_thread_computes_on_keeps_its_place()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        cluster["Silo_0"].Lingers = true;
        var run = await cluster.SubmitAsync(1, 1);
        await cluster.BegunAsync(run, 1);
        var next = await cluster.SubmitAsync(1, 1);

        await cluster.Grains.GetRun(run).CancelAsync();

        await cluster.StatusAsync(run, "the first is cancelled", s => s.State == RunState.Cancelled);
        var node = await Eventually.SeeAsync("nobody leases the rank", cluster.Front.NodesAsync, nodes => nodes[0].LeasedTo.Count == 0);
        Assert.Equal((0, new OccupiedRank(run, 0)), (node[0].Free, Assert.Single(node[0].Occupied)));
        await cluster.StatusAsync(next, "the next waits",
            s => s is { State: RunState.Queued, WaitingFor: "1 rank; the cluster has 1, 0 of them free" });

        cluster["Silo_0"].Leave();
        await cluster.StatusAsync(next, "the next runs", s => s.State == RunState.Running);
    }

    [Fact]
    public async Task The_error_of_a_rank_ends_the_run_and_stops_the_other_ranks()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 2, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(2, 2);
        await cluster.BegunAsync(run, 2);

        cluster["Silo_1"].All(p => p with { Phase = RankPhase.Failed, Error = "out of memory in step 7" });

        var failed = await cluster.StatusAsync(run, "the run has failed", s => s.IsFinal);
        Assert.Equal(RunState.Failed, failed.State);
        Assert.Matches(@"^rank \d \(Silo_1\): out of memory in step 7$", failed.Error);
        await Eventually.SeeAsync("no rank is left", () => cluster.AllWorkers.All(w => w.Progress().Count == 0));
    }

    [Fact]
    public async Task A_rank_that_hangs_does_not_keep_the_run_from_ending()
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
    public async Task A_node_that_cannot_run_its_rank_says_why()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        cluster["Silo_0"].Problem = "model.path: not found, got /models/x; give another.";
        var run = await cluster.SubmitAsync(1, 1);

        var failed = await cluster.StatusAsync(run, "the run has failed", s => s.State == RunState.Failed);

        Assert.Equal("rank 0 (Silo_0) cannot start: model.path: not found, got /models/x; give another.", failed.Error);
        var record = Path.Combine(cluster.Output, run, "end.json");
        await Eventually.SeeAsync("its end is written down", () => File.Exists(record));
        var end = JsonDocument.Parse(await File.ReadAllTextAsync(record)).RootElement;
        Assert.Equal(("failed", failed.Error), (end.GetProperty("state").GetString(), end.GetProperty("error").GetString()));
        Assert.True(File.Exists(Path.Combine(cluster.Output, run, "run.yaml")));
        Assert.Empty(cluster["Silo_0"].Begun);
    }

    [Fact]
    public async Task A_killed_node_ends_its_run_and_its_ranks_are_gone_from_the_cluster()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: 1);
        var run = await cluster.SubmitAsync(3, 3);
        await cluster.BegunAsync(run, 3);
        cluster["Silo_2"].Hangs = true; // it dies without a farewell

        await cluster.Host.KillSiloAsync(cluster.Host.Silos.Single(s => s.Name == "Silo_2"));

        var failed = await cluster.StatusAsync(run, "the run has failed", s => s.IsFinal);
        Assert.Equal(RunState.Failed, failed.State);
        Assert.Matches("node Silo_2 was lost|silo stopped", failed.Error);
        await Eventually.SeeAsync("the survivors' ranks stop",
            () => cluster["Silo_0"].Progress().Count + cluster["Silo_1"].Progress().Count == 0);
        await Eventually.SeeAsync("two nodes are left and free", cluster.Front.NodesAsync,
            nodes => nodes.Where(n => n.State == NodeState.Ready).Select(n => (n.Node, n.Free))
                .SequenceEqual([("Silo_0", 1), ("Silo_1", 1)]));
    }

    [Fact]
    public async Task A_run_that_was_in_progress_when_its_silo_ended_has_failed_and_the_queue_goes_on()
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-").FullName;
        string run, queued;
        await using (var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1, folder))
        {
            run = await cluster.SubmitAsync(1, 1);
            queued = await cluster.SubmitAsync(1, 1);
            await cluster.BegunAsync(run, 1);
            cluster["Silo_0"].Hangs = true; // it dies without a farewell
            await cluster.Host.KillSiloAsync(cluster.Host.Silos.Single());
        }

        await using var restarted = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1, folder);

        var failed = await restarted.StatusAsync(run, "the run has failed", s => s.IsFinal);
        Assert.Equal((RunState.Failed, "the silo stopped while the run was in progress"), (failed.State, failed.Error));
        await restarted.BegunAsync(queued, 1);
        Assert.Equal([queued, run], (await restarted.Front.RunsAsync()).Select(r => r.Run));
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task All_problems_of_a_spec_come_back_at_once_and_nothing_is_queued()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);

        var reply = await cluster.Front.SubmitAsync(
            new SubmitRequest("""{ "name": "a b", "output": "x", "cluster": { "minRanks": 0 } }"""));

        Assert.Superset(new HashSet<string> { "name", "output", "cluster.minRanks" }, reply.Problems.Select(p => p.Split(':')[0]).ToHashSet());
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
        var rank = await Assert.ThrowsAnyAsync<Exception>(() => cluster.Grains.GetRank("r", 0, "gpu-9").AbortAsync(1, "x"));
        Assert.Contains("node 'gpu-9' is not in the cluster; its nodes are Silo_0, Silo_1.", rank.Message);
    }
}
