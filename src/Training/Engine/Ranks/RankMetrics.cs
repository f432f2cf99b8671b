using System.Diagnostics;
using System.Diagnostics.Metrics;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What a rank tells Prometheus, through the meter <c>phi3v</c>. Counts and gauges of the run as a whole come from rank 0 alone, so
/// that a sum over ranks is never needed.
/// </summary>
internal sealed class RankMetrics(string run, RunSpec spec, int rank, int worldSize, string device, string node)
{
    private static readonly Meter Meter = new("phi3v");
    private static readonly Counter<long> Images = Meter.CreateCounter<long>("phi3v.train.images");
    private static readonly Counter<long> Tokens = Meter.CreateCounter<long>("phi3v.train.tokens");
    private static readonly Counter<long> Steps = Meter.CreateCounter<long>("phi3v.train.steps");
    private static readonly Counter<double> PhaseSeconds = Meter.CreateCounter<double>("phi3v.phase", unit: "s");
    private static readonly Histogram<double> StepSeconds = Meter.CreateHistogram<double>("phi3v.train.step", unit: "s");
    private static readonly Gauge<double> Throughput = Meter.CreateGauge<double>("phi3v.train.throughput_images_per_second");
    private static readonly Gauge<double> Loss = Meter.CreateGauge<double>("phi3v.train.loss");
    private static readonly Gauge<double> LearningRate = Meter.CreateGauge<double>("phi3v.train.learning_rate");
    private static readonly Gauge<double> GradNorm = Meter.CreateGauge<double>("phi3v.train.grad_norm");
    private static readonly Gauge<int> WorldSize = Meter.CreateGauge<int>("phi3v.train.world_size");
    private static readonly Gauge<long> Generation = Meter.CreateGauge<long>("phi3v.train.generation");
    private static readonly Gauge<double> EpochProgress = Meter.CreateGauge<double>("phi3v.train.epoch_progress_ratio");

    private readonly TagList _run = new()
    {
        { "run", run }, { "method", spec.Method.Kind }, { "precision", spec.Precision }, { "flash_attention", spec.Attention },
        { "gpus", device == "cpu" ? 0 : worldSize }, { "gpu", device }, { "global_batch", spec.Batch.Global },
    };

    public void PhaseTook(string phase, double seconds) => PhaseSeconds.Add(seconds,
        new("run", run), new("rank", rank), new("node", node), new("phase", phase));

    /// <summary>A step was committed; rank 0 alone calls this, for all.</summary>
    public void StepCommitted(StepRecord step, double imagesPerSecond, double epochProgress)
    {
        Images.Add(step.Images, _run);
        Tokens.Add(step.Tokens, _run);
        Steps.Add(1, _run);
        StepSeconds.Record(step.Seconds, _run);
        Throughput.Record(imagesPerSecond, _run);
        Loss.Record(step.Loss, _run);
        LearningRate.Record(step.LearningRate, _run);
        GradNorm.Record(step.GradNorm, _run);
        WorldSize.Record(worldSize, _run);
        Generation.Record(step.Generation, _run);
        EpochProgress.Record(epochProgress, _run);
    }
}
