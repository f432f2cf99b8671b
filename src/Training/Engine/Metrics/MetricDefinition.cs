using System.Diagnostics.Metrics;

namespace Phi3VCluster.Training.Engine;

/// <summary>How a metric moves: as Prometheus tells them apart.</summary>
public enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
}

/// <summary>A metric of the meter <c>phi3v</c>: what the exporter, the documentation and the tests know of it.</summary>
/// <param name="Name">In OpenTelemetry's form, dotted and without its unit.</param>
/// <param name="Unit">"s", "By", or "" for what is counted or is a ratio.</param>
/// <param name="Help">A sentence.</param>
/// <param name="Labels">All of them are on every series.</param>
public sealed record MetricDefinition(string Name, MetricKind Kind, string Unit, string Help, params IReadOnlyList<MetricLabel> Labels)
{
    public const string MeterName = "phi3v";

    /// <summary>As Prometheus shows it, e.g. phi3v_phase_seconds_total.</summary>
    public string PrometheusName => Name.Replace('.', '_')
        + (Unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" })
        + (Kind == MetricKind.Counter ? "_total" : "");

    /// <summary>Adds the metric to a meter; it is read at each scrape.</summary>
    public void Observe(Meter meter, Func<IEnumerable<Measurement<double>>> read)
    {
        var unit = Unit.Length > 0 ? Unit : null;
        if (Kind == MetricKind.Counter) meter.CreateObservableCounter(Name, read, unit, Help);
        else meter.CreateObservableGauge(Name, read, unit, Help);
    }

    /// <summary>Adds the metric to a meter, as a histogram that is recorded into.</summary>
    public Histogram<double> Record(Meter meter, params IReadOnlyList<double> bounds) =>
        meter.CreateHistogram(Name, Unit, Help, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = bounds });

    /// <summary>One series.</summary>
    /// <param name="values">Of the labels, in their order.</param>
    public Measurement<double> Of(double value, params ReadOnlySpan<object?> values)
    {
        if (values.Length != Labels.Count) throw new ArgumentException($"{Name} has {Labels.Count} labels, got {values.Length}");
        var tags = new KeyValuePair<string, object?>[values.Length];
        for (var i = 0; i < tags.Length; i++) tags[i] = new(Labels[i].Name, values[i]);
        return new(value, tags);
    }
}
