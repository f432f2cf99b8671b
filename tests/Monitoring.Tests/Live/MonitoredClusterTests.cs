using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Monitoring.Tests.Metrics;
using Phi3VCluster.Silo;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Monitoring.Tests.Live;

/// <summary>
/// Three silos, a real Prometheus, a run that ends and one that loses a silo: every rule and every panel has something to show.
/// </summary>
public sealed class MonitoredClusterTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Every_rule_and_every_panel_finds_the_data_of_real_runs()
    {
        Promtool.Require("prometheus");
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var silos = cluster.Up.GetProperty("silos").EnumerateArray().Select(silo => silo.GetProperty("http_port").GetInt32()).ToArray();
        await using var prometheus = await PrometheusServer.StartAsync(_cli, silos.Select(port => $"127.0.0.1:{port}"));
        var watched = new WatchedRuns(_cli, prometheus);

        var run = await watched.TrainAsync(node =>
        {
            cluster.Kill(node);
            return Task.CompletedTask;
        });

        await MetricsAreThoseOfThePage(silos);
        await watched.FindAllAsync(run);
        await cluster.DownAsync();
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
        foreach (var metric in AllMetrics.Each.Where(metric => !WatchedRuns.NeedsGpus(metric.PrometheusName)
            && metric != SiloMetrics.CertificateExpiry)) // these silos have no certificates; SiloTlsTests looks at it
        {
            var name = metric.PrometheusName + (metric.Kind == MetricKind.Histogram ? "_count" : "");
            Assert.True(found.Contains(name), $"{name} is not served");
            Assert.All(found[name], labels => Assert.Equal(metric.Labels.Select(label => label.Name).Order(), labels.Order()));
        }
        var known = AllMetrics.Each.Select(metric => metric.PrometheusName).ToList();
        Assert.All(found, series => Assert.Contains(known, name => series.Key.StartsWith(name, StringComparison.Ordinal)));
    }
}
