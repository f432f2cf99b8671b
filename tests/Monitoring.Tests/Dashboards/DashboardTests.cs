using System.Text.RegularExpressions;
using Phi3VCluster.Monitoring.Tests.Metrics;
using Phi3VCluster.Monitoring.Tests.Rules;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Monitoring.Tests.Dashboards;

public sealed partial class DashboardTests
{
    public static TheoryData<string> Files() => [.. Dashboard.All().Select(dashboard => dashboard.File)];

    [Fact]
    public void There_are_three_and_each_has_an_address_of_its_own()
    {
        Assert.Equal(["cluster.json", "run.json", "speed-table.json"], Dashboard.All().Select(dashboard => dashboard.File));
        Assert.Distinct(Dashboard.All().Select(dashboard => dashboard.Uid));
    }

    [Theory, MemberData(nameof(Files))]
    public void Every_panel_says_what_it_shows(string file)
    {
        var panels = Of(file).Panels;
        Assert.All(panels, panel => Assert.True(
            panel is { Title.Length: > 0, Description.Length: > 10, Unit.Length: > 0 },
            $"{panel.Title} needs title, description and unit"));
        Assert.All(panels, panel => Assert.All(panel.Sources, source => Assert.Equal("${datasource}", source)));
        Assert.All(panels, panel => Assert.All(panel.Queries, query => Assert.NotEmpty(query.Expression)));
        Assert.All(panels.Where(panel => panel.Type is "timeseries" or "state-timeline"),
            panel => Assert.All(panel.Legends, legend => Assert.NotEmpty(legend)));
    }

    [Theory, MemberData(nameof(Files))]
    public void Panels_lie_beside_each_other(string file)
    {
        var panels = Of(file).Everything;
        Assert.Distinct(panels.Select(panel => panel.Id));
        Assert.All(panels, panel => Assert.InRange(panel.Place.X + panel.Place.Width, 1, 24));
        var cells = panels.SelectMany(panel =>
            from x in Enumerable.Range(panel.Place.X, panel.Place.Width)
            from y in Enumerable.Range(panel.Place.Y, panel.Place.Height)
            select (x, y));
        Assert.Distinct(cells);
    }

    [Theory, MemberData(nameof(Files))]
    public void Links_lead_somewhere(string file)
    {
        var uids = Dashboard.All().Select(dashboard => dashboard.Uid).ToHashSet();
        Assert.NotEmpty(Of(file).Links);
        Assert.All(LinkedUid().Matches(Of(file).Text), link => Assert.Contains(link.Groups["uid"].Value, uids));
    }

    [Theory, MemberData(nameof(Files))]
    public void Queries_read_only_metrics_that_there_are(string file)
    {
        var known = AllMetrics.Each.SelectMany(metric => metric.Kind == MetricKind.Histogram
                ? (string[])[$"{metric.PrometheusName}_bucket", $"{metric.PrometheusName}_sum", $"{metric.PrometheusName}_count"]
                : [metric.PrometheusName])
            .Concat(RuleFile.All().Select(rule => rule.Record).OfType<string>());
        Assert.Equal([], Of(file).Queries.SelectMany(query => PromQL.Names(query.Expression)).Except(known));
    }

    private static Dashboard Of(string file) => Dashboard.All().Single(dashboard => dashboard.File == file);

    [GeneratedRegex("\"/d/(?<uid>[a-z0-9-]+)")]
    private static partial Regex LinkedUid();
}
