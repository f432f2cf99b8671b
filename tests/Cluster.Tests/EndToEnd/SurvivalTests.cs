using System.Diagnostics;
using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>
/// Real runs over real silos that are killed, frozen, emptied and stopped: the run goes on in the processes that are left, and its
/// record has every step once and every sample once an epoch.
/// </summary>
public sealed partial class SurvivalTests(ITestOutputHelper output) : IDisposable
{
    private static readonly string[] All = ["n1", "n2", "n3"];

    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_run_outlives_a_killed_silo_and_takes_it_back()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);
        var node = All.First(n => n != "n1"); // the test's own gateway

        var killed = Stopwatch.GetTimestamp();
        cluster.Kill(node);
        Assert.Equal(0, (await _cli.RunAsync("status", run)).ExitCode); // whatever that silo held, another answers
        await StepsOfAsync(run, generation: 2);
        output.WriteLine($"kill -9 to the next committed step: {Stopwatch.GetElapsedTime(killed).TotalSeconds:0.00} s");

        var status = await SeeAsync(
            client, run, "all three train again", s => s is { WorldSize: 3, Phase: "training" } && s.Generation > 2);
        Assert.Equal(RunState.Running, status.State);
        var log = string.Join('\n', (await client.Run(run).LogAsync(0)).Lines);
        Assert.Contains($"{node} was lost", log);
        Assert.Contains($"{node} joined", log);
        await EndAsync(cluster, client, run);
    }

    [Fact]
    public async Task A_drain_and_a_stop_cost_no_step()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);

        Assert.Equal(0, (await _cli.RunAsync("nodes", "drain", "n3")).ExitCode);
        await SeeAsync(client, run, "two train", s => s is { WorldSize: 2, Phase: "training" });
        await cluster.SeeNodesAsync("n3 is empty", nodes => nodes.Single(n => n.Node == "n3") is { State: NodeState.Draining, Free: 1 });
        Assert.Equal(0, (await _cli.RunAsync("nodes", "undrain", "n3")).ExitCode);
        await SeeAsync(client, run, "three train", s => s is { WorldSize: 3, Phase: "training" });

        var before = cluster.Silo("n2")!.Value;
        RunningProcess.Signal(before, RunningProcess.Terminate);
        await cluster.FreezeAsync("n3", TimeSpan.FromSeconds(2.5)); // a step that takes so long is waited for
        await cluster.UntilReplacedAsync(before, () => cluster.Silo("n2"), "n2 is started again");
        await SeeAsync(client, run, "three train again", s => s is { WorldSize: 3, Phase: "training", Generation: >= 5 });

        var log = (await client.Run(run).LogAsync(0)).Lines;
        Assert.DoesNotContain(log, line => line.Contains("was lost") || line.Contains("broke off"));
        Assert.Contains(log, line => line.Contains("n3 drains"));
        await EndAsync(cluster, client, run);
    }

    [Fact]
    public async Task A_frozen_silo_is_gone_on_without()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);

        using (cluster.Without("n2"))
        {
            await SeeAsync(client, run, "two train", s => s is { WorldSize: 2, Phase: "training" });
            await StepsOfAsync(run, generation: 2);
            await cluster.SeeNodesAsync("n2 is lost", nodes => nodes.All(n => n.Node != "n2" || n.State == NodeState.Lost));
        }

        await SeeAsync(client, run, "three train again", s => s is { WorldSize: 3, Phase: "training" });
        await EndAsync(cluster, client, run);
    }

    [Fact]
    public async Task Training_does_not_wait_for_the_store()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster);
        var (store, steps) = (cluster.Store!.Value, Steps(run).Count);

        cluster.KillStore();
        await Eventually.Holds(() => Steps(run).Count > steps + 10, CliSandbox.Timeout, "training goes on");
        await cluster.UntilReplacedAsync(store, () => cluster.Store, "the store is started again");

        await EndAsync(cluster, client, run);
        Assert.All(Steps(run), step => Assert.Equal(1, step.GetProperty("generation").GetInt64()));
    }

    [Fact]
    public async Task A_disk_that_fills_costs_checkpoints_and_not_the_training()
    {
        using var disk = SmallDisk.Mount(_cli.At("output"), megabytes: 32);
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster, "checkpoint.everySteps=5");
        var first = await SeeAsync(client, run, "a checkpoint is written", s => s.CheckpointStep > 0);

        disk.Fill();
        var told = await SeeAsync(
            client, run, "the run says so", s => s.Notes.Any(note => note.Contains("a checkpoint could not be written")));
        var later = await SeeAsync(client, run, "and goes on", s => s.Step > told.Step + 20);
        Assert.Equal((1L, 3), (later.Generation, later.WorldSize));
        Assert.Single(later.Notes, note => note.Contains("a checkpoint could not be written, training goes on"));
        Assert.Single(later.Notes, note => note.Contains("steps.jsonl could not be written, training goes on"));
        Assert.NotEmpty((await _cli.JsonAsync(0, "checkpoints", run)).EnumerateArray());

        disk.Free();
        await SeeAsync(client, run, "checkpoints are written again", s => s.CheckpointStep > later.Step);
        Assert.True(first.CheckpointStep > 0);
        await EndAsync(cluster, client, run);
    }

    /// <summary>A coordinator that cannot store what it decides answers nobody.</summary>
    [Fact]
    public async Task A_run_whose_coordinator_is_not_heard_parks_and_goes_on_when_it_is()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var (run, client) = await BeginAsync(cluster, "failure.orphanSeconds=3");

        using (cluster.WithoutStore())
            await StandsStillAsync(run);

        await StepsOfAsync(run, generation: 2);
        await SeeAsync(client, run, "it says why", s => s.WorldSize == 3 && s.Notes.Any(note => note.Contains("heard of the coordinator")));
        await EndAsync(cluster, client, run);
    }

    [Fact]
    public async Task A_run_on_one_silo_goes_on_when_it_is_up_again()
    {
        await _cli.JsonAsync(0, ["up", "--ranks", "2", .. FreePorts.Take().Options]);
        var run = (await _cli.JsonAsync(0, "submit", new TinyRun(_cli).ElasticSpec(least: 2, most: 3))).GetProperty("run").GetString()!;
        await Eventually.Holds(() => Steps(run).Count > 5, CliSandbox.Timeout, "it trains");

        await _cli.JsonAsync(0, "down", "--force");
        var steps = Steps(run).Count;
        await _cli.JsonAsync(0, ["up", "--ranks", "2", .. FreePorts.Take().Options]);

        await Eventually.Holds(() => Steps(run).Count > steps + 5, CliSandbox.Timeout, "it goes on by itself");
        await _cli.JsonAsync(0, "down", "--force");
        EachOnce(run);
    }

    private async Task<(string Run, GatewayClient Client)> BeginAsync(LocalCluster cluster, params string[] sets)
    {
        var client = await cluster.ClientAsync();
        string[] options = [.. sets.SelectMany(set => (string[])["--set", set])];
        var run = (await _cli.JsonAsync(0, ["submit", new TinyRun(_cli).ElasticSpec(least: 1, most: 3), .. options]))
            .GetProperty("run").GetString()!;
        await SeeAsync(client, run, "three train", s => s is { WorldSize: 3, Phase: "training" });
        await Eventually.Holds(() => Steps(run).Count > 3, CliSandbox.Timeout, "steps are committed");
        return (run, client);
    }

    private async Task EndAsync(LocalCluster cluster, GatewayClient client, string run)
    {
        await CancelAsync(client, run);
        await cluster.DownAsync();
        EachOnce(run);
    }

    private async Task CancelAsync(GatewayClient client, string run)
    {
        await GatewayClient.SeeAsync("its coordinator answers", CancelAsync, done => done);
        await SeeAsync(client, run, "it ends", s => s.IsFinal);

        async Task<bool> CancelAsync()
        {
            await client.Run(run).CancelAsync();
            return true;
        }
    }

    private void EachOnce(string run)
    {
        var steps = Steps(run);
        Assert.Equal(Enumerable.Range(1, steps.Count), steps.Select(step => step.GetProperty("step").GetInt32()));
        foreach (var epoch in steps.GroupBy(step => step.GetProperty("epoch").GetInt32()))
        {
            var ids = epoch.SelectMany(step => step.GetProperty("sample_ids").EnumerateArray().Select(id => id.GetString())).ToList();
            Assert.Equal(ids.Count, ids.Distinct().Count());
            if (epoch.Key < steps[^1].GetProperty("epoch").GetInt32()) Assert.Equal(TinyRun.TrainPages, ids.Count);
        }
    }

    /// <summary>Until no step was committed for a time in which there are many.</summary>
    private Task StandsStillAsync(string run)
    {
        var (steps, since) = (Steps(run).Count, Stopwatch.GetTimestamp());
        return Eventually.Holds(() =>
        {
            if (Steps(run).Count is var now && now != steps) (steps, since) = (now, Stopwatch.GetTimestamp());
            return Stopwatch.GetElapsedTime(since) > TimeSpan.FromSeconds(4);
        }, CliSandbox.Timeout, "no step is committed any more");
    }

    private Task StepsOfAsync(string run, long generation) => Eventually.Holds(
        () => Steps(run).Any(step => step.GetProperty("generation").GetInt64() >= generation), CliSandbox.Timeout,
        $"generation {generation} commits steps");

    private async Task<RunStatus> SeeAsync(GatewayClient client, string run, string what, Func<RunStatus, bool> good)
    {
        try
        {
            return await GatewayClient.SeeAsync(what, client.Run(run).StatusAsync, good);
        }
        catch
        {
            foreach (var line in (await client.Run(run).LogAsync(0)).Lines) output.WriteLine(line); // the story so far
            throw;
        }
    }

    private IReadOnlyList<JsonElement> Steps(string run)
    {
        var file = Path.Combine(_cli.At("output"), run, "steps.jsonl");
        if (!File.Exists(file)) return [];
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(stream);
        return [.. reader.ReadToEnd().Split('\n').Where(line => line.EndsWith('}')).Select(line => JsonDocument.Parse(line).RootElement)];
    }
}
