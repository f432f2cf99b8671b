using System.Diagnostics;
using Phi3VCluster.Bench.Step;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Engine.Jobs;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Gpu;

/// <summary>Steps of the released model's size on letter pages: 17 crops, 2,560 tokens, 12 of them the answer.</summary>
/// <param name="Micro">Pages of a pass.</param>
/// <param name="Checkpointing">As in a run spec.</param>
/// <param name="Plans">False leaves attention to the flash kernels.</param>
internal sealed record SpeedRun(string Method, int Micro, string Checkpointing, string Attention = "auto", bool Plans = true)
{
    private const int PatienceOfAShortRun = 64; // these few steps stand for a run of days: plans are made while it warms up

    public const int Pages = 8;

    private const int Steps = 7, WarmUps = 3;

    /// <summary>The decoder's products in 8 bits.</summary>
    public bool Fp8 { get; init; }

    public string Kernels => (Plans ? Attention : $"{Attention}, flash alone") + (Fp8 ? ", fp8" : "");

    public (double ImagesPerSecond, double SlowestOverMedian, long PeakBytes, IReadOnlyList<double> Losses) Measure()
    {
        using var scope = NewDisposeScope();
        CudaAllocator.EmptyCache();
        CudaAllocator.ResetPeak(0);
        PlannedAttention.Patience = Plans ? PatienceOfAShortRun : int.MaxValue;
        var spec = new RunSpec
        {
            Model = new() { Path = "random weights", NumCrops = StepSamples.NumCrops },
            Method = new() { Kind = Method, Rank = 64, Alpha = 128 },
            Precision = "bf16",
            Fp8 = Fp8,
            Attention = Attention,
            ActivationCheckpointing = Checkpointing,
            Batch = new() { Global = Pages, Micro = Micro },
            Optimizer = new() { LearningRate = 4e-5, Schedule = "constant", WarmupSteps = 0 },
            Epochs = Steps,
        };
        var compute = RankCompute.Of(spec, cudaDevice: 0);
        var samples = StepSamples.Make(Pages, RandomWeights.Released.VocabularySize, text: new(5, 34, 12));
        using var model = TrainedModel.Load(spec, compute, new RandomWeights(RandomWeights.Released));
        using var world = Catalog<ICollectiveBackend>.Find("loopback", "speed").Open("").Connect(1, 0, [""], CancellationToken.None);
        using var step = new BareStep(spec, compute, model, samples, world);

        var (seconds, losses) = (new List<double>(), new List<double>());
        for (var n = 0; n < Steps; n++)
        {
            var start = Stopwatch.GetTimestamp();
            losses.Add(step.Run().Loss);
            cuda.synchronize();
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        var timed = seconds.Skip(WarmUps).Order().ToList();
        return (Pages / timed[timed.Count / 2], timed[^1] / timed[timed.Count / 2], CudaAllocator.Statistics(0).AllocatedPeak, losses);
    }
}
