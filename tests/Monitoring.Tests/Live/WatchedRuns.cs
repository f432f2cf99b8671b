using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Monitoring.Tests.Dashboards;
using Phi3VCluster.Monitoring.Tests.Metrics;
using Phi3VCluster.Monitoring.Tests.Rules;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Monitoring.Tests.Live;

/// <summary>
/// What three silos and a Prometheus that watches them are put through, and what Prometheus must know of it, however they talk.
/// </summary>
internal sealed class WatchedRuns(CliSandbox cli, PrometheusServer prometheus)
{
    /// <summary>What asks for these needs a GPU, or NVIDIA's exporter beside one; here it may only not be in error.</summary>
    private static readonly string[] OnlyWithGpus =
    [
        "phi3v_gpu_", "gpu_memory_peak_bytes", "phi3v_train_mfu_ratio", "DCGM_", "phi3v:published_images_per_second * 0",
    ];

    /// <param name="kill">A node's silo, which starts again by itself or by this.</param>
    /// <returns>A run that goes on; another has come to its end.</returns>
    public async Task<string> TrainAsync(Func<string, Task> kill)
    {
        await TheTableSaysWhatTheReportSays();
        return await LoseASiloAsync(kill);
    }

    /// <summary>Until the run is cancelled.</summary>
    public async Task FindAllAsync(string run)
    {
        await RulesHaveSeries();
        await PanelsHaveSeries(run);
        Assert.True(await prometheus.FindsAsync($"ALERTS{{alertname=\"Phi3VRankLost\", run=\"{run}\"}}"), "the loss raised an alert");
        await GaugesVanishWithTheRun(run);
    }

    public static bool NeedsGpus(string text) => OnlyWithGpus.Any(part => text.Contains(part, StringComparison.Ordinal));

    /// <summary>One rank, full fine-tuning: it is the base of its card, too.</summary>
    private async Task TheTableSaysWhatTheReportSays()
    {
        var done = await cli.JsonAsync(0, "submit", new TinyRun(cli).Spec(ranks: 1, epochs: 10), "--wait");
        var run = done.GetProperty("run").GetString()!;
        var report = TinyRun.Json(Path.Combine(cli.At("output"), run, "report.json"));
        var (steps, expected) = (report.GetProperty("steps").GetInt64(), report.GetProperty("images_per_second").GetDouble());

        await SeeAsync($"sum(phi3v_train_steps_total{{run=\"{run}\"}}) == {steps}");
        var series = $"phi3v:speed_table_images_per_second{{run=\"{run}\", nodes=\"1\", method=\"full\"}}";
        await Eventually.Holds(
            async () => await prometheus.FindsAsync(series) && IsNear(await prometheus.ValueAsync(series), expected), CliSandbox.Timeout,
            () => $"{series} is within 2 % of {expected}");
        Assert.Equal(1, await prometheus.ValueAsync($"phi3v:speed_table_speedup_ratio{{run=\"{run}\"}}"), tolerance: 1e-9);
    }

    /// <returns>A run that goes on after it has lost one of its three nodes, not rank 0's.</returns>
    private async Task<string> LoseASiloAsync(Func<string, Task> kill)
    {
        var spec = File.ReadAllText(new TinyRun(cli).EndlessSpec(ranks: 3))
            .Replace("minRanks: 3", "minRanks: 2", StringComparison.Ordinal)
            .Replace("metric: anls, maxNewTokens: 2", "metric: loss", StringComparison.Ordinal);
        var run = (await cli.JsonAsync(0, "submit", cli.Write("elastic.yaml", spec))).GetProperty("run").GetString()!;
        await SeeAsync($"phi3v:run_world_size{{run=\"{run}\"}} == 3");
        await SeeAsync($"phi3v:rank_arrival_seconds{{run=\"{run}\"}}");
        var before = await prometheus.ValueAsync($"sum(phi3v_train_steps_total{{run=\"{run}\"}})");

        var nodes = (await cli.JsonAsync(0, "status", run)).GetProperty("nodes").EnumerateArray();
        await kill(nodes.First(node => node.GetProperty("node").GetString() != "n1" // which is asked
            && node.GetProperty("ranks").EnumerateArray().All(rank => rank.GetInt32() != 0)).GetProperty("node").GetString()!);

        await SeeAsync($"phi3v:run_generation{{run=\"{run}\"}} > 1");
        await SeeAsync($"sum(phi3v_recoveries_total{{run=\"{run}\", cause=\"loss\"}}) > 0");
        await SeeAsync($"sum(phi3v_train_steps_total{{run=\"{run}\"}}) > {before}");
        await SeeAsync("sum(up) == 3"); // the silo is back, whether the run takes it in or not
        return run;
    }

    private async Task RulesHaveSeries()
    {
        var rules = await prometheus.RulesAsync();
        Assert.Equal(RuleFile.All().Count, rules.Count);
        Assert.All(rules, rule => Assert.True(rule.Health == "ok", $"{rule}"));
        foreach (var name in RuleFile.All().Select(rule => rule.Record).OfType<string>().Distinct())
            if (!NeedsGpus(name) || name.StartsWith("phi3v:published", StringComparison.Ordinal)) await SeeAsync(name);
    }

    private async Task PanelsHaveSeries(string run)
    {
        var queries =
            from board in Dashboard.All()
            from query in board.Queries
            select (Where: $"{board.File}: {query.Where}", Query: query);
        foreach (var (where, query) in queries)
        {
            var expression = query.Expression.Replace("$run", run, StringComparison.Ordinal)
                .Replace("$__rate_interval", "15s", StringComparison.Ordinal).Replace("$__range", "10m", StringComparison.Ordinal);
            Assert.DoesNotContain("$", expression);
            var found = await prometheus.AskAsync(expression, query.IsInstant); // fails if Prometheus does not understand it
            if (found.Count == 0 && !NeedsGpus(expression))
                await Eventually.Holds(async () => (await prometheus.AskAsync(expression, query.IsInstant)).Count > 0, CliSandbox.Timeout,
                    () => $"{where} has a series: {expression}");
        }
    }

    private async Task GaugesVanishWithTheRun(string run)
    {
        await cli.JsonAsync(0, "cancel", run);
        var names = AllMetrics.Each.Where(metric => metric.Kind == MetricKind.Gauge && metric.Labels.Contains(MetricLabel.Run))
            .Select(metric => metric.PrometheusName);
        var gauges = $"{{run=\"{run}\", __name__=~\"{string.Join('|', names)}\"}}";
        IReadOnlyList<JsonElement> left = [];
        await Eventually.Holds(async () => (left = await prometheus.AskAsync(gauges, isInstant: true)).Count == 0, CliSandbox.Timeout,
            () => $"the gauges of a run vanish with it; left are {string.Join(", ", left.Select(series => series.GetProperty("metric")))}");
    }

    private Task SeeAsync(string expression) =>
        Eventually.Holds(() => prometheus.FindsAsync(expression), CliSandbox.Timeout, () => $"Prometheus finds {expression}");

    private static bool IsNear(double value, double expected) => Math.Abs(value - expected) <= 0.02 * expected;
}
