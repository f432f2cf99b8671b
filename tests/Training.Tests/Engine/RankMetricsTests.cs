using System.Diagnostics;
using System.Diagnostics.Metrics;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>What real ranks tell a scrape.</summary>
public sealed class RankMetricsTests(SmallRuns runs) : IClassFixture<SmallRuns>
{
    [Fact]
    public void Every_second_of_every_rank_is_in_exactly_one_phase()
    {
        var output = runs.PathOf("phases");
        using var run = new LocalRun(runs.Lora with { Epochs = 4, Checkpoint = new() { EverySteps = 2 } }, output);
        var beforeTake = Stopwatch.GetTimestamp();
        run.Take(2);
        var afterTake = Stopwatch.GetTimestamp();
        run.Until("all are ready", p => p.Phase == RankPhase.Parked);
        run.Join();
        run.UntilAny("a step is committed", p => p.Step > 0);
        run.TryBreak(seat: 0);
        run.Until("all park", p => p.Phase is RankPhase.Parked or RankPhase.Finished);
        if (run.Progress.All(p => p.Phase == RankPhase.Parked)) run.Join("the test's will");
        run.Until("the run ends", p => p.Phase == RankPhase.Finished);

        var beforeRead = Stopwatch.GetTimestamp();
        var phases = Scraped("phases").Where(one => one.Metric == RankMetrics.PhaseSeconds.Name).ToList();
        var afterRead = Stopwatch.GetTimestamp();

        var (least, most) = (Stopwatch.GetElapsedTime(afterTake, beforeRead), Stopwatch.GetElapsedTime(beforeTake, afterRead));
        var seats = phases.GroupBy(one => one.Labels["seat"]).ToList();
        Assert.Equal(["0", "1"], seats.Select(seat => seat.Key).Order());
        Assert.All(seats, seat => Assert.InRange(seat.Sum(one => one.Value), least.TotalSeconds, most.TotalSeconds));
        Assert.All(phases, one => Assert.Contains(one.Labels["phase"], Phase.All.Select(phase => phase.Name)));
        string[] used =
            ["load", "rendezvous", "restore", "data", "forward", "backward", "reduce", "optimizer", "snapshot", "export", "idle"];
        Assert.Empty(used.Except(phases.Where(one => one.Value > 0).Select(one => one.Labels["phase"])));
    }

    [Fact]
    public void A_steps_time_is_undone_when_it_is_broken_off()
    {
        using var run = Begin("undone", epochs: 1_000_000);
        run.UntilAny("a step is committed", p => p.Step > 0);
        Assert.Equal(0, Scraped("undone").Where(one => one.Metric == RankMetrics.Undone.Name).Sum(one => one.Value));

        run.Break(seat: 0);
        run.Until("all park", p => p.Phase == RankPhase.Parked);

        var undone = Scraped("undone").Where(one => one.Metric == RankMetrics.Undone.Name).ToList();
        Assert.Equal(2, undone.Count);
        Assert.Contains(undone, one => one.Value > 0);
        var spent = Scraped("undone").Where(one => one.Metric == RankMetrics.PhaseSeconds.Name).Sum(one => one.Value);
        Assert.InRange(undone.Sum(one => one.Value), 0, spent);
    }

    [Fact]
    public void Gauges_are_of_runs_that_live_and_counters_outlive_a_seat_by_a_scrape()
    {
        using var run = Begin("gauges", epochs: 1);
        run.Until("the run ends", p => p.Phase == RankPhase.Finished);
        var during = Scraped("gauges");
        var row = during.Single(one => one.Metric == RankMetrics.Loss.Name).Labels;
        Assert.Equal(("lora", "fp32", "false", "1"), (row["method"], row["precision"], row["flash_attention"], row["nodes"]));
        Assert.Equal(("0", "cpu", "3"), (row["gpus"], row["gpu"], row["global_batch"]));
        Assert.Equal(2, during.Single(one => one.Metric == RankMetrics.WorldSize.Name).Value);
        Assert.DoesNotContain(during, one => one.Metric == RankMetrics.Utilization.Name || one.Metric == RankMetrics.MemoryPeak.Name);

        run.LeaveAll("the run is over");
        run.Until("the seats end", p => p.Phase == RankPhase.Stopped);

        var after = Scraped("gauges");
        string[] counters = [.. RankMetrics.All.Where(metric => metric.Kind == MetricKind.Counter).Select(metric => metric.Name)];
        Assert.Empty(after.Select(one => one.Metric).Except(counters));
        Assert.Equal(LocalRun.Steps(runs.PathOf("gauges")).Count, after.Single(one => one.Metric == RankMetrics.Steps.Name).Value);
        var told = Sum(after);
        Assert.Equal(told, Sum(Scraped("gauges"))); // its clock has stopped
    }

    [Fact]
    public void Labels_are_those_of_the_definition()
    {
        using var run = Begin("labels", epochs: 1);
        run.Until("the run ends", p => p.Phase == RankPhase.Finished);

        var scraped = Scraped("labels");
        Assert.All(scraped, one => Assert.Equal(
            RankMetrics.All.Single(metric => metric.Name == one.Metric).Labels.Select(label => label.Name), one.Labels.Keys));
        string[] onlyOnCards = [RankMetrics.Utilization.Name, RankMetrics.MemoryPeak.Name, RankMetrics.MemoryReserved.Name,
            RankMetrics.MemoryTotal.Name, RankMetrics.StepSeconds.Name]; // the last is recorded, not read
        Assert.Equal(RankMetrics.All.Select(metric => metric.Name).Except(onlyOnCards), scraped.Select(one => one.Metric).Distinct());
    }

    /// <summary>A full step of the released model: 6 operations for each of its 3.62 G decoder weights and each token.</summary>
    [Theory]
    [InlineData("full", 6.0)]
    [InlineData("lora", 4.0)]
    [InlineData("head", 2.0)]
    public void Operations_are_counted_for_what_is_trained(string method, double perWeight)
    {
        const double Layer = 3072.0 * 9216 + 3072.0 * 3072 + 3072.0 * 16384 + 8192.0 * 3072;
        Assert.Equal(perWeight * 32 * Layer, Utilization.OperationsPerToken(method, ModelSizes.Released));
    }

    [Theory]
    [InlineData("NVIDIA A100-SXM4-80GB", "bf16", 8, 0.184)] // 8.657 images/s of 2443 tokens: the second row of the recipe's table
    [InlineData("NVIDIA GeForce RTX 4090", "bf16", 8, null)]
    [InlineData("NVIDIA A100-SXM4-80GB", "fp32", 8, null)]
    [InlineData("cpu", "bf16", 0, null)]
    public void Utilization_is_told_where_the_peak_is_known(string gpu, string precision, int gpus, double? expected)
    {
        var spec = new Spec.RunSpec { Precision = precision };
        var ratio = Utilization.Of(spec, ModelSizes.Released, gpu, gpus, 8.657 * 2443.23);
        Assert.Equal(expected is null, ratio is null);
        if (expected is { } known) Assert.Equal(known, ratio!.Value, tolerance: 0.001);
    }

    private LocalRun Begin(string name, int epochs)
    {
        var run = new LocalRun(runs.Lora with { Epochs = epochs }, runs.PathOf(name));
        run.Take(2);
        run.Until("all are ready", p => p.Phase == RankPhase.Parked);
        run.Join();
        return run;
    }

    private static double Sum(IEnumerable<Series> scraped) =>
        scraped.Where(one => one.Metric == RankMetrics.PhaseSeconds.Name).Sum(one => one.Value);

    /// <summary>One scrape, of one run.</summary>
    private static IReadOnlyList<Series> Scraped(string run)
    {
        var found = new List<Series>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listening) =>
            {
                if (instrument.Meter.Name == MetricDefinition.MeterName) listening.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) =>
        {
            var labels = new Dictionary<string, string>();
            foreach (var (name, label) in tags) labels[name] = $"{label}";
            if (labels.GetValueOrDefault("run") == run) found.Add(new(instrument.Name, labels, value));
        });
        listener.Start();
        listener.RecordObservableInstruments();
        return found;
    }

    private sealed record Series(string Metric, IReadOnlyDictionary<string, string> Labels, double Value);
}
