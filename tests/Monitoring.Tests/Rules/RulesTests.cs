using Phi3VCluster.Monitoring.Tests.Metrics;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Monitoring.Tests.Rules;

public sealed class RulesTests
{
    [Fact]
    public async Task Prometheus_takes_all_rules_and_the_configuration_for_one_machine()
    {
        await Promtool.SucceedsAsync(["check", "rules", "--lint-fatal", .. Directory.GetFiles(RuleFile.Folder, "*.yml")]);
        await Promtool.SucceedsAsync("check", "config", Checkout.At("deploy/prometheus/local.yml"));
    }

    [Fact]
    public Task Rules_do_what_their_tests_say() => Promtool.SucceedsAsync(["test", "rules", .. RuleTestFile.Paths]);

    [Fact]
    public void Every_alert_is_seen_to_fire_and_to_be_silent()
    {
        var seen = Tests().SelectMany(test => test.AlertRuleTest).ToLookup(test => test.Alertname, test => test.ExpAlerts.Count > 0);
        var alerts = RuleFile.All().Where(rule => rule.Alert is not null).ToList();
        Assert.NotEmpty(alerts);
        Assert.All(alerts, alert => Assert.Equal([false, true], seen[alert.Alert!].Distinct().Order()));
        Assert.All(alerts, alert => Assert.Equal(["description", "summary"], alert.Annotations.Keys.Order()));
    }

    [Fact]
    public void The_documentation_lists_every_alert()
    {
        var page = File.ReadAllText(Checkout.At("docs/monitoring.md"));
        Assert.All(RuleFile.All().Select(rule => rule.Alert).OfType<string>(), alert => Assert.Contains($"`{alert}`", page));
    }

    [Fact]
    public void Every_recorded_series_has_a_test()
    {
        var expressions = Tests().SelectMany(test => test.PromqlExprTest).Select(test => test.Expr).ToList();
        var recorded = RuleFile.All().Where(rule => rule.Record is not null).Select(rule => rule.Record!).Distinct();
        Assert.Equal([], recorded.Except(expressions.SelectMany(PromQL.Names)));
    }

    /// <summary>A rule over a metric that no silo has is silent for ever.</summary>
    [Fact]
    public void Rules_read_only_metrics_that_there_are()
    {
        var known = AllMetrics.Each.Where(metric => metric.Kind != MetricKind.Histogram).Select(metric => metric.PrometheusName)
            .Concat(RuleFile.All().Select(rule => rule.Record).OfType<string>()).ToHashSet();
        Assert.Equal([], RuleFile.All().SelectMany(rule => PromQL.Names(rule.Expr)).Except(known));
    }

    /// <summary>After a change of the recipes, PHI3V_REWRITE_RULES=1 writes the file anew: then review its difference.</summary>
    [Fact]
    public void The_published_figures_are_the_recipes()
    {
        var (rules, written) = (PublishedFigures.Text(), Path.Combine(RuleFile.Folder, "published.yml"));
        if (Environment.GetEnvironmentVariable("PHI3V_REWRITE_RULES") == "1") File.WriteAllText(written, rules);
        Assert.Equal(File.ReadAllText(written), rules);
        Assert.Equal(15, PublishedFigures.Recipes().Count); // ten rows of A100, five of V100
    }

    private static IEnumerable<RuleTest> Tests() => RuleTestFile.Paths.SelectMany(file => RuleFile.Read<RuleTestFile>(file).Tests);
}
