using System.Diagnostics.Metrics;

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
        description: "From a generation's cause until all its seats were told to join.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100] });

    /// <summary>Exported as phi3v_recoveries_total.</summary>
    private static readonly Counter<long> Recoveries = Meter.CreateCounter<long>(
        "phi3v.recoveries",
        description: "Generations that ended before their run did, by cause: loss, fault, stall, echo, missed, boundary.");

    /// <param name="device">Labelled with its GPUs as the ranks' metrics are: none where they compute on CPUs.</param>
    internal static void RendezvousEnded(string run, string device, int ranks, double seconds) => RendezvousTime.Record(
        seconds, new("run", run), new("gpus", device == "cpu" ? 0 : ranks));

    internal static void GenerationEnded(string run, string cause) => Recoveries.Add(1, new("run", run), new("cause", cause));
}
