using System.Globalization;
using System.Text;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Monitoring.Tests.Metrics;

/// <summary>Writes <c>docs/metrics.md</c> from the definitions that the silo measures by.</summary>
internal static class MetricsPage
{
    public static string Text()
    {
        var page = new StringBuilder("""
            # Metrics

            Each silo serves its metrics at `http://HOST:HTTP-PORT/metrics`, in Prometheus's text format: its own below, Orleans'
            (`orleans_…`), .NET's (`dotnet_…`) and those of its HTTP server (`http_server_…`). [Monitoring](monitoring.md) says what to
            look at. This page is written by a test from the definitions in the code.

            A gauge is there as long as what it measures: those of a run vanish with it. Counters of a seat stay for a minute after its end.
            A run whose generation changes goes on in other series of the same name: `nodes` and `gpus` are what it has *now*.

            """)
            .AppendLine(
                CultureInfo.InvariantCulture, $"*row* stands for the labels of a row of the speed table: {Names(SpeedRowLabels.All)}.");
        foreach (var (teller, metrics) in AllMetrics.ByTeller)
        {
            page.AppendLine(CultureInfo.InvariantCulture, $"\n## {teller}\n")
                .AppendLine("| metric | kind | what it is | labels |").AppendLine("| --- | --- | --- | --- |");
            foreach (var metric in metrics)
                page.AppendLine(CultureInfo.InvariantCulture,
                    $"| `{metric.PrometheusName}` | {metric.Kind.ToString().ToLowerInvariant()} | {metric.Help} | {LabelsOf(metric)} |");
        }
        page.AppendLine("\n## Labels\n").AppendLine("| label | what it holds |").AppendLine("| --- | --- |");
        var labels = AllMetrics.Each.SelectMany(metric => metric.Labels).Distinct();
        foreach (var label in labels.OrderBy(label => label.Name, StringComparer.Ordinal))
            page.AppendLine(CultureInfo.InvariantCulture, $"| `{label.Name}` | {label.Meaning} |");
        page.AppendLine("\n## Phases\n").AppendLine("| phase | what the rank does |").AppendLine("| --- | --- |");
        foreach (var phase in Phase.All) page.AppendLine(CultureInfo.InvariantCulture, $"| `{phase.Name}` | {phase.Meaning} |");
        return page.ToString();
    }

    private static string LabelsOf(MetricDefinition metric) =>
        ReferenceEquals(metric.Labels, SpeedRowLabels.All) ? "*row*" : Names(metric.Labels);

    private static string Names(IReadOnlyList<MetricLabel> labels) => string.Join(", ", labels.Select(label => label.Name));
}
