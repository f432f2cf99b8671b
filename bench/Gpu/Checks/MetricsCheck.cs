using System.Diagnostics.Metrics;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Bench.Gpu.Checks;

/// <summary>What a rank on a GPU tells a scrape that one on a CPU does not: memory, utilization, the card's name.</summary>
internal sealed class MetricsCheck : IGpuCheck
{
    public string Name => "metrics";

    public int Order => 6;

    public IEnumerable<GpuRow> Run()
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-gpu-metrics").FullName;
        try
        {
            var files = QuickstartFiles.Create(Path.Combine(folder, "files"), seed: 1, new(12, EvalPages: 4, TinySizes.Smallest));
            var told = new List<(string Metric, string Labels, double Value)>();
            for (var run = 0; run < 2; run++) // the second takes the device from the first
                SeatRun.Finish(Spec(files), Path.Combine(folder, $"run-{run}"), () => told = Scrape($"run-{run}"));
            double Of(string metric) => told.Single(one => one.Metric == metric).Value;

            var (peak, reserved, total) = (Of("phi3v.gpu.memory_peak"), Of("phi3v.gpu.memory_reserved"), Of("phi3v.gpu.memory_total"));
            yield return new("GPU memory", peak > 0 && peak <= reserved && reserved < total,
                FormattableString.Invariant($"{peak / 1e6:f1} MB at most in tensors, {reserved / 1e6:f1} MB held, of {total / 1e9:f1} GB"));
            var utilization = Of("phi3v.train.mfu_ratio");
            yield return new("utilization", utilization is > 0 and < 1,
                FormattableString.Invariant($"{utilization:0.0e+0} of a tiny model"));
            yield return new("labels", null, told.First(one => one.Metric == "phi3v.train.loss").Labels);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static RunSpec Spec(QuickstartFiles files) => new()
    {
        Model = new() { Path = files.Checkpoint, NumCrops = 1 },
        Precision = "bf16",
        Data = new() { Train = files.Train },
        Batch = new() { Global = 4 },
        Cluster = new() { Device = "cuda" },
    };

    private static List<(string Metric, string Labels, double Value)> Scrape(string run)
    {
        var found = new List<(string, string, double)>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listening) =>
            {
                if (instrument.Meter.Name == MetricDefinition.MeterName) listening.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) =>
        {
            var labels = string.Join(", ", tags.ToArray().Select(tag => $"{tag.Key} {tag.Value}"));
            if (labels.StartsWith($"run {run},", StringComparison.Ordinal)) found.Add((instrument.Name, labels, value));
        });
        listener.Start();
        listener.RecordObservableInstruments();
        return found;
    }
}
