using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Monitoring.Tests.Dashboards;
using Phi3VCluster.Monitoring.Tests.Metrics;
using Phi3VCluster.Monitoring.Tests.Rules;
using Phi3VCluster.Silo;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Monitoring.Tests.Live;

/// <summary>
/// Three silos, a real Prometheus, a run that ends and one that loses a silo: every rule and every panel has something to show.
/// </summary>
public sealed class MonitoredClusterTests : IDisposable
{
    /// <summary>What asks for these needs a GPU, or NVIDIA's exporter beside one; here it may only not be in error.</summary>
    private static readonly string[] OnlyWithGpus =
    [
        "phi3v_gpu_", "gpu_memory_peak_bytes", "phi3v_train_mfu_ratio", "DCGM_", "phi3v:published_images_per_second * 0",
    ];

    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Every_rule_and_every_panel_finds_the_data_of_real_runs()
    {
        Promtool.Require("prometheus");
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var silos = cluster.Up.GetProperty("silos").EnumerateArray().Select(silo => silo.GetProperty("http_port").GetInt32()).ToArray();
        await using var prometheus = await PrometheusServer.StartAsync(_cli, silos);

        await TheTableSaysWhatTheReportSays(prometheus);
        var run = await LoseASiloAsync(cluster, prometheus);

        await MetricsAreThoseOfThePage(silos);
        await RulesHaveSeries(prometheus);
        await PanelsHaveSeries(prometheus, run);
        Assert.True(await prometheus.FindsAsync($"ALERTS{{alertname=\"Phi3VRankLost\", run=\"{run}\"}}"), "the loss raised an alert");
        await GaugesVanishWithTheRun(cluster, prometheus, run);
        await cluster.DownAsync();
    }

    /// <summary>One rank, full fine-tuning: it is the base of its card, too.</summary>
    private async Task TheTableSaysWhatTheReportSays(PrometheusServer prometheus)
    {
        var done = await _cli.JsonAsync(0, "submit", new TinyRun(_cli).Spec(ranks: 1, epochs: 10), "--wait");
        var run = done.GetProperty("run").GetString()!;
        var report = TinyRun.Json(Path.Combine(_cli.At("output"), run, "report.json"));
        var (steps, expected) = (report.GetProperty("steps").GetInt64(), report.GetProperty("images_per_second").GetDouble());

        await SeeAsync(prometheus, $"sum(phi3v_train_steps_total{{run=\"{run}\"}}) == {steps}");
        var series = $"phi3v:speed_table_images_per_second{{run=\"{run}\", nodes=\"1\", method=\"full\"}}";
        await Eventually.Holds(
            async () => await prometheus.FindsAsync(series) && IsNear(await prometheus.ValueAsync(series), expected), CliSandbox.Timeout,
            () => $"{series} is within 2 % of {expected}");
        Assert.Equal(1, await prometheus.ValueAsync($"phi3v:speed_table_speedup_ratio{{run=\"{run}\"}}"), tolerance: 1e-9);
    }

    /// <returns>A run that goes on after it has lost one of its three nodes, not rank 0's.</returns>
    private async Task<string> LoseASiloAsync(LocalCluster cluster, PrometheusServer prometheus)
    {
        var spec = File.ReadAllText(new TinyRun(_cli).EndlessSpec(ranks: 3))
            .Replace("minRanks: 3", "minRanks: 2", StringComparison.Ordinal)
            .Replace("metric: anls, maxNewTokens: 2", "metric: loss", StringComparison.Ordinal);
        var run = (await _cli.JsonAsync(0, "submit", _cli.Write("elastic.yaml", spec))).GetProperty("run").GetString()!;
        await SeeAsync(prometheus, $"phi3v:run_world_size{{run=\"{run}\"}} == 3");
        await SeeAsync(prometheus, $"phi3v:rank_arrival_seconds{{run=\"{run}\"}}");
        var before = await prometheus.ValueAsync($"sum(phi3v_train_steps_total{{run=\"{run}\"}})");

        var status = await (await cluster.ClientAsync()).Run(run).StatusAsync();
        cluster.Kill(status.Nodes.First(node => node.Node != "n1" && !node.Ranks.Contains(0)).Node); // the test asks n1

        await SeeAsync(prometheus, $"phi3v:run_generation{{run=\"{run}\"}} > 1");
        await SeeAsync(prometheus, $"sum(phi3v_recoveries_total{{run=\"{run}\", cause=\"loss\"}}) > 0");
        await SeeAsync(prometheus, $"sum(phi3v_train_steps_total{{run=\"{run}\"}}) > {before}");
        await SeeAsync(prometheus, "sum(up) == 3"); // the silo is back, whether the run takes it in or not
        return run;
    }

    private static async Task MetricsAreThoseOfThePage(int[] silos)
    {
        var texts = await Task.WhenAll(silos.Select(Exposition.ReadAsync));
        foreach (var text in texts)
        {
            var lint = await Promtool.RunAsync(["check", "metrics"], text);
            Assert.DoesNotContain("error while linting", lint.Stderr); // it could read all of it
            Assert.All(lint.Stderr.Split('\n', StringSplitOptions.RemoveEmptyEntries), // names and units of Orleans are its own
                line => Assert.Matches("^orleans_[a-z_]+ use base unit", line));
        }
        var found = texts.SelectMany(Exposition.Series).Where(series => series.Name.StartsWith("phi3v_", StringComparison.Ordinal))
            .ToLookup(series => series.Name, series => series.Labels);
        foreach (var metric in AllMetrics.Each.Where(metric => !NeedsGpus(metric.PrometheusName)
            && metric != SiloMetrics.CertificateExpiry)) // these silos have no certificates; SiloTlsTests looks at it
        {
            var name = metric.PrometheusName + (metric.Kind == MetricKind.Histogram ? "_count" : "");
            Assert.True(found.Contains(name), $"{name} is not served");
            Assert.All(found[name], labels => Assert.Equal(metric.Labels.Select(label => label.Name).Order(), labels.Order()));
        }
        var known = AllMetrics.Each.Select(metric => metric.PrometheusName).ToList();
        Assert.All(found, series => Assert.Contains(known, name => series.Key.StartsWith(name, StringComparison.Ordinal)));
    }

    private static async Task RulesHaveSeries(PrometheusServer prometheus)
    {
        var rules = await prometheus.RulesAsync();
        Assert.Equal(RuleFile.All().Count, rules.Count);
        Assert.All(rules, rule => Assert.True(rule.Health == "ok", $"{rule}"));
        foreach (var name in RuleFile.All().Select(rule => rule.Record).OfType<string>().Distinct())
            if (!NeedsGpus(name) || name.StartsWith("phi3v:published", StringComparison.Ordinal)) await SeeAsync(prometheus, name);
    }

    private static async Task PanelsHaveSeries(PrometheusServer prometheus, string run)
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

    private static async Task GaugesVanishWithTheRun(LocalCluster cluster, PrometheusServer prometheus, string run)
    {
        await (await cluster.ClientAsync()).Run(run).CancelAsync();
        var names = AllMetrics.Each.Where(metric => metric.Kind == MetricKind.Gauge && metric.Labels.Contains(MetricLabel.Run))
            .Select(metric => metric.PrometheusName);
        var gauges = $"{{run=\"{run}\", __name__=~\"{string.Join('|', names)}\"}}";
        IReadOnlyList<JsonElement> left = [];
        await Eventually.Holds(async () => (left = await prometheus.AskAsync(gauges, isInstant: true)).Count == 0, CliSandbox.Timeout,
            () => $"the gauges of a run vanish with it; left are {string.Join(", ", left.Select(series => series.GetProperty("metric")))}");
    }

    private static Task SeeAsync(PrometheusServer prometheus, string expression) =>
        Eventually.Holds(() => prometheus.FindsAsync(expression), CliSandbox.Timeout, () => $"Prometheus finds {expression}");

    private static bool NeedsGpus(string text) => OnlyWithGpus.Any(part => text.Contains(part, StringComparison.Ordinal));

    private static bool IsNear(double value, double expected) => Math.Abs(value - expected) <= 0.02 * expected;
}
