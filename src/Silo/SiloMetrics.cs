using System.Diagnostics.Metrics;
using System.Reflection;
using OpenTelemetry.Metrics;
using Phi3VCluster.Tls;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Silo;

/// <summary>What the silo serves at <c>/metrics</c>: its own meter, Orleans', and .NET's.</summary>
internal static class SiloMetrics
{
    public static readonly MetricDefinition Info = new(
        "phi3v.silo.info", MetricKind.Gauge, "", "1 for the silo that answers: which node it is, and of which build.",
        MetricLabel.Node, MetricLabel.Version);

    public static readonly MetricDefinition CertificateExpiry = new(
        "phi3v.certificate.expiry.timestamp", MetricKind.Gauge, "s",
        "When the silo's certificate ends, as Unix time; of a renewed one from the next connection on. Missing without TLS.",
        MetricLabel.Node);

    private static readonly Meter Meter = new(MetricDefinition.MeterName);

    public static void AddMetrics(this IServiceCollection services, SiloSettings settings, TlsIdentity? identity)
    {
        Info.Observe(Meter, () => [Info.Of(1, settings.Node, Version)]);
        if (identity is not null)
            CertificateExpiry.Observe(Meter, () => [CertificateExpiry.Of(identity.Expiry.ToUnixTimeSeconds(), settings.Node)]);
        services.AddOpenTelemetry().WithMetrics(metrics => metrics
            .AddMeter(MetricDefinition.MeterName, "Microsoft.Orleans", "System.Runtime", "Microsoft.AspNetCore.Hosting")
            .AddView(AsPrometheusWantsIt)
            .AddPrometheusExporter(exporter => exporter.ScopeInfoEnabled = false));
    }

    /// <summary>
    /// Orleans describes none of its metrics and labels messages with every silo that ever was; .NET calls some gauges counts, which is
    /// what Prometheus calls parts of histograms.
    /// </summary>
    private static MetricStreamConfiguration? AsPrometheusWantsIt(Instrument instrument)
    {
        if (instrument.Meter.Name == MetricDefinition.MeterName) return null;
        var isOfEachSilo = instrument.Name.EndsWith("-messages-size", StringComparison.Ordinal);
        return new()
        {
            Name = instrument.Name.EndsWith(".count", StringComparison.Ordinal) ? instrument.Name[..^".count".Length] : instrument.Name,
            Description = instrument.Description ?? $"{instrument.Name}, by {instrument.Meter.Name}.",
            TagKeys = isOfEachSilo ? [] : null,
        };
    }

    public static string Version =>
        typeof(SiloMetrics).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
}
