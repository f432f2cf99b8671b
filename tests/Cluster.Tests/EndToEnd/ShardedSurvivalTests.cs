using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>
/// Real runs whose state is in parts, over real silos, without a checkpoint to fall back on: a killed silo's part is with its buddy, and
/// a silo that leaves or comes costs no step.
/// </summary>
public sealed class ShardedSurvivalTests(ITestOutputHelper output) : IDisposable
{
    /// <summary>
    /// Other world sizes add in another order. What comes of that stays below a millionth at a low rate, and outgrows any bound at a high
    /// one, at which undisturbed runs drift apart too.
    /// </summary>
    private const string LowRate = "optimizer.learningRate=1e-5";
    private const double LossTolerance = 2e-5;

    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    /// <summary>It is killed, or stands still and answers nobody.</summary>
    [Theory, InlineData(true), InlineData(false)]
    public async Task A_lost_silo_costs_no_more_steps_than_lie_between_two_snapshots(bool isKilled)
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var client = await cluster.ClientAsync();
        var run = await BeginAsync(client);
        using var watch = new Watch(FileOf(run));
        await Eventually.Holds(() => Steps(run).Count > 10, CliSandbox.Timeout, "it trains");

        var at = Stopwatch.GetTimestamp();
        if (isKilled) cluster.Kill("n2");
        using (isKilled ? null : cluster.Without("n2"))
            await Eventually.Holds(() => watch.LastOf.ContainsKey(2), CliSandbox.Timeout, "the next generation commits a step");
        var signal = isKilled ? "kill -9" : "SIGSTOP";
        output.WriteLine($"{signal} to the next committed step: {Stopwatch.GetElapsedTime(at).TotalSeconds:0.00} s");
        await SeeAsync(client, run, "all three train again", s => s is { WorldSize: 3, Phase: "training" } && s.Generation > 2);
        await Eventually.Holds(() => watch.LastOf.ContainsKey(3), CliSandbox.Timeout, "and commit steps");

        var (lost, lostByGrowth) = (watch.LostAfter(1), watch.LostAfter(2));
        output.WriteLine($"steps lost by it: {lost} after {watch.LastOf[1]}; by taking the silo back: {lostByGrowth}");
        var told = (await client.Run(run).LogAsync(0)).Lines.Select(line => Regex.Match(line, @"is taken every (\d+) steps")).ToList();
        var interval = told.Find(match => match.Success) is { } said ? int.Parse(said.Groups[1].Value, CultureInfo.InvariantCulture) : 1;
        Assert.InRange(lost, 0, interval + 1); // the newest may have been on its way
        Assert.Equal(0, lostByGrowth);
        await EndAsync(client, run);
        await AsUndisturbedAsync(client, run);
        await cluster.DownAsync();
    }

    [Fact]
    public async Task A_drain_and_growth_cost_no_step()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var client = await cluster.ClientAsync();
        var run = await BeginAsync(client);
        using var watch = new Watch(FileOf(run));

        // Both at once: each is the other's buddy, or has it, so that what they leave behind is not all.
        foreach (var node in (string[])["n2", "n3"]) Assert.Equal(0, (await _cli.RunAsync("nodes", "drain", node)).ExitCode);
        await SeeAsync(client, run, "one trains", s => s is { WorldSize: 1, Phase: "training" });
        await cluster.SeeNodesAsync("both are empty", nodes => nodes.Where(n => n.Node != "n1").All(n => n.Free == 1));
        foreach (var node in (string[])["n2", "n3"]) Assert.Equal(0, (await _cli.RunAsync("nodes", "undrain", node)).ExitCode);
        var all = await SeeAsync(client, run, "three train", s => s is { WorldSize: 3, Phase: "training" });
        await Eventually.Holds(() => watch.LastOf.ContainsKey(all.Generation), CliSandbox.Timeout, "and commit steps");

        var log = (await client.Run(run).LogAsync(0)).Lines;
        Assert.DoesNotContain(log, line => line.Contains("broke off"));
        foreach (var generation in watch.LastOf.Keys.Where(one => one < all.Generation)) Assert.Equal(0, watch.LostAfter(generation));
        await EndAsync(client, run);
        await AsUndisturbedAsync(client, run);
        await cluster.DownAsync();
    }

    private async Task<string> BeginAsync(GatewayClient client)
    {
        var run = (await _cli.JsonAsync(0, "submit", new TinyRun(_cli).ElasticSpec(least: 1, most: 3),
            "--set", "cluster.state=sharded", "--set", "checkpoint.everySteps=0", "--set", LowRate)).GetProperty("run").GetString()!;
        await SeeAsync(client, run, "three train", s => s is { WorldSize: 3, Phase: "training" });
        await Eventually.Holds(() => Steps(run).Count > 3, CliSandbox.Timeout, "steps are committed");
        return run;
    }

    private async Task EndAsync(GatewayClient client, string run)
    {
        await client.Run(run).CancelAsync();
        await SeeAsync(client, run, "it ends", s => s.IsFinal);
        var steps = Steps(run);
        Assert.Equal(Enumerable.Range(1, steps.Count), steps.Select(step => step.GetProperty("step").GetInt32()));
    }

    /// <summary>Another run, to which nothing happens, has the same samples and losses in every step.</summary>
    private async Task AsUndisturbedAsync(GatewayClient client, string run)
    {
        var steps = Steps(run);
        await GatewayClient.SeeAsync("all are free", client.Cluster.NodesAsync, nodes => nodes.Count(n => n.Free == 1) == 3);
        var other = await BeginAsync(client);
        await Eventually.Holds(() => Steps(other).Count >= steps.Count, CliSandbox.Timeout, "it gets as far");
        await EndAsync(client, other);
        var expected = Steps(other);
        Assert.All(expected, step => Assert.Equal(1, step.GetProperty("generation").GetInt64()));
        var differences = steps.Zip(expected, (one, same) =>
        {
            Assert.Equal(same.GetProperty("sample_ids").ToString(), one.GetProperty("sample_ids").ToString());
            var (loss, undisturbed) = (one.GetProperty("loss").GetDouble(), same.GetProperty("loss").GetDouble());
            return Math.Abs(loss - undisturbed) / Math.Max(1, undisturbed);
        }).ToList();
        output.WriteLine($"losses of {differences.Count} steps are within {differences.Max():0.0e+0}");
        Assert.InRange(differences.Max(), 0, LossTolerance);
    }

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

    private string FileOf(string run) => Path.Combine(_cli.At("output"), run, "steps.jsonl");

    private IReadOnlyList<JsonElement> Steps(string run) => Read(FileOf(run));

    private static IReadOnlyList<JsonElement> Read(string file)
    {
        if (!File.Exists(file)) return [];
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(stream);
        return [.. reader.ReadToEnd().Split('\n').Where(line => line.EndsWith('}')).Select(line => JsonDocument.Parse(line).RootElement)];
    }

    /// <summary>Looks at a history all the time: what a later generation takes back was there.</summary>
    private sealed class Watch : IDisposable
    {
        private readonly string _file;
        private readonly Thread _thread;
        private volatile bool _ends;

        public Watch(string file)
        {
            _file = file;
            _thread = new Thread(Look) { IsBackground = true };
            _thread.Start();
        }

        /// <summary>The last step that was seen of each generation.</summary>
        public ConcurrentDictionary<long, long> LastOf { get; } = new();

        /// <summary>Steps of a generation that the next one began before.</summary>
        public long LostAfter(long generation)
        {
            var later = Read(_file).First(step => step.GetProperty("generation").GetInt64() > generation).GetProperty("step").GetInt64();
            return LastOf[generation] - (later - 1);
        }

        public void Dispose()
        {
            _ends = true;
            _thread.Join();
        }

        private void Look()
        {
            for (; !_ends; Thread.Sleep(20))
            {
                if (Read(_file) is not [.., var last]) continue;
                var step = last.GetProperty("step").GetInt64();
                LastOf.AddOrUpdate(last.GetProperty("generation").GetInt64(), step, (_, known) => Math.Max(known, step));
            }
        }
    }
}
