using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Optim;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>One rank of a row: a run's step on weights and pages that are made here, without data, evaluation or files.</summary>
internal sealed class SpeedRank(RunSpec spec, Phi3VConfig config, IReadOnlyList<EncodedSample> pages)
{
    private const int GpuWarmUps = 2; // attention's shapes have come up often enough for their plans by then

    /// <summary>Trains until the time is over on rank 0, and then to the end of the step.</summary>
    /// <param name="device">The rank's CUDA device; null for the CPU.</param>
    /// <param name="seconds">Least that is timed, after the warm-up.</param>
    /// <exception cref="RankFault">The step failed.</exception>
    public SpeedTiming Run(ICollective collective, int? device, double seconds, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        var compute = RankCompute.Of(spec, device);
        using var model = TrainedModel.Load(spec, compute, new RandomWeights(config), stop);
        long? since = null;
        using var step = new BareStep(spec, compute, model, pages, collective, wantsBoundary: () => collective.Rank == 0
            && since is { } start && Stopwatch.GetElapsedTime(start).TotalSeconds >= seconds, stop: stop);

        var timing = new SpeedTiming(0, 0, 0);
        for (var n = 0; ; n++)
        {
            var isTimed = n >= (compute.Device.type == DeviceType.CPU ? 1 : GpuWarmUps);
            if (isTimed) since ??= Stopwatch.GetTimestamp();
            var begin = Stopwatch.GetTimestamp();
            var result = step.Run();
            if (compute.Device.type == DeviceType.CUDA) cuda.synchronize();
            if (isTimed && result.Skipped is null) timing = timing.With(result.Images, Stopwatch.GetElapsedTime(begin).TotalSeconds);
            if (result.IsBoundary) return timing;
        }
    }
}

/// <summary>What was timed, over all ranks.</summary>
internal sealed record SpeedTiming(int Steps, long Images, double Seconds)
{
    public SpeedTiming With(long images, double seconds) => new(Steps + 1, Images + images, Seconds + seconds);
}
