using System.Net;
using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>A cluster that stays up, from its start to its end.</summary>
public sealed class LiveClusterTests : IDisposable
{
    private readonly CliSandbox _cli = new();
    private readonly TinyRun _run;

    public LiveClusterTests() => _run = new(_cli);

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_run_goes_through_a_cluster_and_every_verb_tells_of_it()
    {
        var cluster = await LiveCluster.UpAsync(_cli, ranks: 2);
        var node = Assert.Single((await _cli.JsonAsync(0, "nodes")).EnumerateArray());
        Assert.Equal(
            (cluster.ProcessId, "ready", 2, 0, "cpu"),
            (node.GetProperty("process_id").GetInt32(), node.GetProperty("state").GetString(), node.GetProperty("ranks").GetInt32(),
                node.GetProperty("leased_to").GetArrayLength(), node.GetProperty("device").GetString()));

        var run = await cluster.SubmitAsync(_run.Spec(ranks: 2));
        var done = await cluster.UntilAsync(run, s => s.GetProperty("state").GetString() is "done" or "failed", "the run ends");
        Assert.Equal("done", done.GetProperty("state").GetString());

        Assert.Equal(
            (6, 6, 2, 2, 1, 0),
            (done.GetProperty("step").GetInt32(), done.GetProperty("total_steps").GetInt32(), done.GetProperty("epoch").GetInt32(),
                done.GetProperty("world_size").GetInt32(), done.GetProperty("generation").GetInt32(),
                done.GetProperty("nodes")[0].GetProperty("ranks")[0].GetInt32()));
        Assert.Equal(run, Assert.Single((await _cli.JsonAsync(0, "runs")).EnumerateArray()).GetProperty("run").GetString());
        var log = (await _cli.RunAsync("logs", run, "--follow")).Stdout;
        foreach (var line in (string[])["submitted", "generation 1 begins", "epoch 1 of 2 ended", "epoch 2 of 2 ended", "done"])
            Assert.Contains(line, log);
        var watch = await _cli.RunAsync("watch", run);
        Assert.Equal(0, watch.ExitCode);
        Assert.Contains("6 of 6", watch.Stdout);

        using var http = new HttpClient { BaseAddress = new($"http://127.0.0.1:{cluster.Ports.Http}") };
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/health")).StatusCode);
        var metrics = await http.GetStringAsync("/metrics");
        Assert.Matches($"(?m)^phi3v_train_steps_total\\{{.*run=\"{run}\".*\\}} 6$", metrics);
        Assert.Contains("phi3v_phase_seconds_total{", metrics);

        await cluster.DownAsync();
        Assert.Equal(3, (await _cli.RunAsync("nodes")).ExitCode);
        Assert.Empty(_cli.TemporaryFiles());
    }

    [Fact]
    public async Task A_run_that_asks_for_too_much_waits_and_says_for_what_and_can_be_cancelled()
    {
        var cluster = await LiveCluster.UpAsync(_cli, ranks: 2);
        var run = await cluster.SubmitAsync(_run.Spec(ranks: 3));

        var waiting = await cluster.UntilAsync(
            run, s => s.GetProperty("waiting_for").ValueKind == JsonValueKind.String, "it says what it waits for");
        Assert.Equal("queued", waiting.GetProperty("state").GetString());
        Assert.Equal("3 cpu ranks; the cluster has 2, 2 of them free", waiting.GetProperty("waiting_for").GetString());
        await using (var piped = _cli.StartOther("/bin/bash", "-c", $"'{CliSandbox.Executable}' logs {run} --follow | head -n 1"))
            Assert.Contains("submitted", (await piped.EndAsync(CliSandbox.Timeout)).Stdout); // and does not follow what nobody reads

        await _cli.JsonAsync(0, "cancel", run);
        await cluster.UntilEndAsync(run, "cancelled");
        var next = await cluster.SubmitAsync(_run.Spec(ranks: 2, epochs: 1)); // the head of the queue is free
        await cluster.UntilEndAsync(next, "done");
        await cluster.DownAsync();
    }

    [Fact]
    public async Task Down_refuses_under_a_run_data_can_be_looked_at_beside_it_and_ids_may_be_short()
    {
        var cluster = await LiveCluster.UpAsync(_cli, ranks: 2);
        var run = await cluster.SubmitAsync(_run.EndlessSpec(ranks: 2));
        await _run.UntilTrainingAsync();

        var down = await _cli.RunAsync("down");
        Assert.Equal(1, down.ExitCode);
        Assert.Equal(
            $"phi3v: not stopped: {run} would wait for the next `phi3v up`; stay with `phi3v watch {run}`, "
                + $"end it with `phi3v cancel {run}`, or give --force.\n",
            down.Stderr);
        var inspected = await _cli.JsonAsync(0, "inspect", $"conversations:{_cli.At("files")}/train.jsonl", "--pages", "0");
        Assert.Equal(TinyRun.TrainPages, inspected.GetProperty("rows").GetInt32());
        Assert.Equal(run, (await _cli.JsonAsync(0, "status", "last")).GetProperty("run").GetString());
        Assert.Equal(run, (await _cli.JsonAsync(0, "status", "ti")).GetProperty("run").GetString());

        await _cli.JsonAsync(0, "down", "--force");
        Assert.Empty(_cli.Processes());
    }

    [Fact]
    public async Task Cancelling_a_run_in_mid_training_frees_its_ranks_for_the_next_one()
    {
        var cluster = await LiveCluster.UpAsync(_cli, ranks: 2);
        var first = await cluster.SubmitAsync(_run.EndlessSpec(ranks: 2));
        await _run.UntilTrainingAsync();
        var second = await cluster.SubmitAsync(_run.Spec(ranks: 2, epochs: 1));

        await _cli.JsonAsync(0, "cancel", first);
        await cluster.UntilEndAsync(first, "cancelled");

        await cluster.UntilEndAsync(second, "done");
        Assert.Equal(
            [(second, "done"), (first, "cancelled")],
            (await _cli.JsonAsync(0, "runs")).EnumerateArray()
                .Select(r => (r.GetProperty("run").GetString()!, r.GetProperty("state").GetString()!)));
        await cluster.DownAsync();
    }

    [Fact]
    public async Task A_run_that_fails_leaves_the_cluster_ready_for_the_next_one()
    {
        var cluster = await LiveCluster.UpAsync(_cli, ranks: 2);
        var (sample, _) = _run.SpoilOnePage();

        var failed = await _cli.RunAsync("submit", _run.Spec(ranks: 2), "--wait");

        Assert.Equal(1, failed.ExitCode);
        Assert.Contains(sample, failed.Stdout);
        await Eventually.Holds(
            async () => (await _cli.JsonAsync(0, "nodes"))[0] is var n
                && n.GetProperty("state").GetString() == "ready" && n.GetProperty("free").GetInt32() == 2,
            CliSandbox.Timeout, () => "both ranks are free again");
        await cluster.DownAsync();
    }
}
