using System.Diagnostics.Metrics;
using static Phi3VCluster.Training.Engine.MetricKind;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What ranks tell Prometheus. A run's own numbers come from its rank 0 alone, so a sum over ranks is never needed. All but one are read
/// at each scrape from the seats that there are.
/// </summary>
public static class RankMetrics
{
    private const int SeatsOfAMeter = 60; // 13 phases each, for one or two ranks that the seat was

    private static readonly MetricLabel[] OfRank = [MetricLabel.Run, MetricLabel.Node, MetricLabel.Seat, MetricLabel.Rank];
    private static readonly IReadOnlyList<MetricLabel> OfRow = SpeedRowLabels.All;

    internal static readonly MetricDefinition Images = new("phi3v.train.images", Counter, "", "Images of committed steps.", OfRow);
    internal static readonly MetricDefinition Tokens = new(
        "phi3v.train.tokens", Counter, "", "Positions of committed steps, those of images included.", OfRow);
    internal static readonly MetricDefinition Steps = new("phi3v.train.steps", Counter, "", "Committed steps.", OfRow);
    internal static readonly MetricDefinition Skipped = new(
        "phi3v.train.skipped_steps", Counter, "", "Committed steps that changed no weight: a loss or a gradient was not finite.", OfRow);
    internal static readonly MetricDefinition TrainSeconds = new(
        "phi3v.train", Counter, "s", "Wall time of committed steps; with images, the throughput of a report.", OfRow);
    internal static readonly MetricDefinition StepSeconds = new(
        "phi3v.train.step", Histogram, "s", "Wall time of a committed step.", OfRow);
    internal static readonly MetricDefinition Throughput = new(
        "phi3v.train.throughput_images_per_second", Gauge, "", "Over all ranks, mean of the last 20 steps.", OfRow);
    internal static readonly MetricDefinition Loss = new(
        "phi3v.train.loss", Gauge, "", "Mean over the last step's global batch.", OfRow);
    internal static readonly MetricDefinition LearningRate = new("phi3v.train.learning_rate", Gauge, "", "Of the last step.", OfRow);
    internal static readonly MetricDefinition GradNorm = new(
        "phi3v.train.grad_norm", Gauge, "", "Global norm of the last step's mean gradient, before clipping.", OfRow);
    internal static readonly MetricDefinition WorldSize = new("phi3v.train.world_size", Gauge, "", "Ranks of the generation.", OfRow);
    internal static readonly MetricDefinition GlobalBatch = new(
        "phi3v.train.global_batch", Gauge, "", "Samples of one optimizer step over all ranks: the effective batch.", OfRow);
    internal static readonly MetricDefinition Generation = new(
        "phi3v.train.generation", Gauge, "", "Number of the generation: it grows with each loss, gain and repair.", OfRow);
    internal static readonly MetricDefinition EpochProgress = new(
        "phi3v.train.epoch_progress_ratio", Gauge, "", "Share of the current epoch that is committed.", OfRow);
    internal static readonly MetricDefinition Utilization = new(
        "phi3v.train.mfu_ratio", Gauge, "",
        "Model FLOPs utilization of the last 20 steps, from below: of the cards' peak, the part that the decoder layers' matrices need. "
            + "Missing where the peak is not known.", OfRow);
    internal static readonly MetricDefinition CheckpointTimestamp = new(
        "phi3v.checkpoint.timestamp", Gauge, "s",
        "When the newest checkpoint was complete, as Unix time; when training began where there is none. What was trained since is in "
            + "memory alone. Missing where the run writes none.", MetricLabel.Run);
    internal static readonly MetricDefinition PhaseSeconds = new(
        "phi3v.phase", Counter, "s",
        "Where a rank's time went. At any moment a rank is in exactly one phase, so the phases of all ranks add up to the run's "
            + "rank-seconds.",
        [.. OfRank, MetricLabel.Phase]);
    internal static readonly MetricDefinition Undone = new(
        "phi3v.undone", Counter, "s",
        "Of those seconds, what went to steps that were broken off, or that the restored state does not have.", OfRank);
    internal static readonly MetricDefinition MemoryPeak = new(
        "phi3v.gpu.memory_peak", Gauge, "By", "Most bytes in tensors on the rank's GPU since its seat was taken.", OfRank);
    internal static readonly MetricDefinition MemoryReserved = new(
        "phi3v.gpu.memory_reserved", Gauge, "By", "Bytes that libtorch's allocator holds of the rank's GPU.", OfRank);
    internal static readonly MetricDefinition MemoryTotal = new("phi3v.gpu.memory_total", Gauge, "By", "Bytes of the rank's GPU.", OfRank);

    private static readonly List<SeatMetrics> Seats = [];
    private static readonly RenewedMeter Meter = new(Fill, SeatsOfAMeter);
    private static Histogram<double>? _steps;

    /// <summary>In the order of the documentation.</summary>
    public static IReadOnlyList<MetricDefinition> All { get; } =
    [
        Images, Tokens, Steps, Skipped, TrainSeconds, StepSeconds, Throughput, Loss, LearningRate, GradNorm, WorldSize, GlobalBatch,
        Generation, EpochProgress, Utilization, CheckpointTimestamp, PhaseSeconds, Undone, MemoryPeak, MemoryReserved, MemoryTotal,
    ];

    /// <summary>A seat was taken; it is read until a minute after its end.</summary>
    internal static void Add(SeatMetrics seat)
    {
        lock (Seats) Seats.Add(seat);
        Meter.AddOwner();
    }

    internal static void Record(SpeedRowLabels row, double seconds) => _steps?.Record(seconds, StepSeconds.Of(seconds, row.Values()).Tags);

    private static void Fill(Meter meter)
    {
        Count(Images, counts => counts.Images);
        Count(Tokens, counts => counts.Tokens);
        Count(Steps, counts => counts.Steps);
        Count(Skipped, counts => counts.Skipped);
        Count(TrainSeconds, counts => counts.Seconds);
        _steps = StepSeconds.Record(meter, 0.1, 0.3, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300);
        OfRun(Throughput, run => run.Last is null ? null : run.ImagesPerSecond);
        OfRun(Loss, run => run.Last?.Loss);
        OfRun(LearningRate, run => run.Last?.LearningRate);
        OfRun(GradNorm, run => run.Last?.GradNorm);
        OfRun(WorldSize, run => run.WorldSize);
        OfRun(GlobalBatch, run => run.Row.GlobalBatch);
        OfRun(Generation, run => run.Generation);
        OfRun(EpochProgress, run => run.Last is null ? null : run.EpochProgress);
        OfRun(Utilization, run => run.Utilization);
        Each(CheckpointTimestamp, seat => seat.Now.Run?.SafeSince is { } since
            ? [CheckpointTimestamp.Of(UnixSeconds(since()), seat.Id.Run)] : []);
        Each(PhaseSeconds, seat => seat.Clock.Read().Select(one =>
            PhaseSeconds.Of(one.Seconds, [.. RankOf(seat, one.Rank), one.Phase])));
        Each(Undone, seat => seat.Now.Undone.Select(one => Undone.Of(one.Value, [.. RankOf(seat, one.Key)])));
        OfDevice(MemoryPeak, memory => memory.Peak);
        OfDevice(MemoryReserved, memory => memory.Reserved);
        OfDevice(MemoryTotal, memory => memory.Total);

        void Count(MetricDefinition metric, Func<RowCounts, double> value) =>
            Each(metric, seat => seat.Now.Rows.Select(row => metric.Of(value(row.Value), row.Key.Values())));

        void OfRun(MetricDefinition metric, Func<RunReading, double?> value) =>
            Each(metric, seat => seat.Now.Run is { } run && value(run) is { } known ? [metric.Of(known, run.Row.Values())] : []);

        void OfDevice(MetricDefinition metric, Func<DeviceMemory, double> value) => Each(metric, seat =>
            seat is { HasEnded: false, Now: { Rank: { } rank, Memory: { } memory } }
                ? [metric.Of(value(memory), [.. RankOf(seat, rank)])]
                : []);

        void Each(MetricDefinition metric, Func<SeatMetrics, IEnumerable<Measurement<double>>> read) =>
            metric.Observe(meter, () => [.. Present().SelectMany(read)]);
    }

    private static object?[] RankOf(SeatMetrics seat, int? rank) => [seat.Id.Run, seat.Node, seat.Id.Seat, rank is { } known ? known : ""];

    private static double UnixSeconds(DateTime utc) => new DateTimeOffset(utc).ToUnixTimeMilliseconds() / 1e3;

    private static IReadOnlyList<SeatMetrics> Present()
    {
        lock (Seats)
        {
            Seats.RemoveAll(seat => seat.IsOver);
            return [.. Seats];
        }
    }
}
