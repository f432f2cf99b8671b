using System.Diagnostics.Metrics;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Runs;

/// <summary>What the coordinator measures, on the meter that the data plane uses too.</summary>
public static class RunMetrics
{
    public const string MeterName = "phi3v";

    private static readonly Meter Meter = new(MeterName);

    /// <summary>Exported as phi3v_rendezvous_seconds.</summary>
    private static readonly Histogram<double> RendezvousTime = Meter.CreateHistogram(
        "phi3v.rendezvous",
        unit: "s",
        description: "From the opening of a generation until all its ranks have joined.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100] });

    /// <param name="lease">Labelled with its GPUs as the ranks' metrics are: none where they compute on CPUs.</param>
    internal static void RendezvousEnded(string run, Lease lease, TimeSpan took) => RendezvousTime.Record(
        took.TotalSeconds, new("run", run), new("gpus", lease.Device == "cpu" ? 0 : lease.Places.Count));
}
