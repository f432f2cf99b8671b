using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Monitoring.Tests.Metrics;

public sealed class MetricsPageTests
{
    /// <summary>After a change of the metrics, PHI3V_REWRITE_METRICS=1 writes the page anew: then review its difference.</summary>
    [Fact]
    public void The_documentation_is_what_the_code_says()
    {
        var (page, written) = (MetricsPage.Text(), Checkout.At("docs/metrics.md"));
        if (Environment.GetEnvironmentVariable("PHI3V_REWRITE_METRICS") == "1") File.WriteAllText(written, page);
        Assert.Equal(File.ReadAllText(written), page);
    }

    [Fact]
    public void Names_are_unique_and_every_label_has_one_definition()
    {
        Assert.Distinct(AllMetrics.Each.Select(metric => metric.PrometheusName));
        Assert.Distinct(AllMetrics.Each.SelectMany(metric => metric.Labels).Distinct().Select(label => label.Name));
        Assert.All(AllMetrics.Each, metric => Assert.EndsWith(".", metric.Help));
    }

    [Theory]
    [InlineData("phi3v.phase", MetricKind.Counter, "s", "phi3v_phase_seconds_total")]
    [InlineData("phi3v.train.images", MetricKind.Counter, "", "phi3v_train_images_total")]
    [InlineData("phi3v.gpu.memory_peak", MetricKind.Gauge, "By", "phi3v_gpu_memory_peak_bytes")]
    public void A_metric_is_called_as_Prometheus_shows_it(string name, MetricKind kind, string unit, string expected) =>
        Assert.Equal(expected, new MetricDefinition(name, kind, unit, "").PrometheusName);
}
