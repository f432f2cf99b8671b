using System.Diagnostics;
using System.Globalization;
using Phi3VCluster.Bench.Step;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Overlap;

/// <summary>
/// One rank of a training step, in a process of its own. Says its address on standard output, reads "rank address address …", trains some
/// steps, and says "seconds exposed loss" of the last ones: means a step.
/// </summary>
internal static class OverlapWorker
{
    public const string Verb = "overlap-worker";

    private const int Warm = 1, Measured = 3, Epochs = 100;

    /// <param name="arguments">Folder of the files, host, method, gradient type, and whether sums go beside.</param>
    public static int Run(IReadOnlyList<string> arguments)
    {
        LibTorch.Load();
        var rank = new Thread(() => Train(arguments[0], arguments[1], new(arguments[2], arguments[3], bool.Parse(arguments[4]))));
        rank.Start();
        rank.Join();
        return 0;
    }

    private static void Train(string folder, string host, OverlapCase given)
    {
        set_num_threads(1);
        var endpoint = new TcpEndpoint(host, tls: null, isLocalToo: false);
        Console.WriteLine(endpoint.Address);
        var words = Console.ReadLine()!.Split(' ');
        var (rank, ranks) = (int.Parse(words[0], CultureInfo.InvariantCulture), words.Length - 1);
        var files = new StepFiles(folder, new());
        var spec = SpecOf(files, given, ranks);
        var samples = StepSamples.Make(ranks, files.Sizes.Vocabulary);
        var compute = RankCompute.Of(spec, cudaDevice: null);
        using var model = TrainedModel.Load(spec, compute);
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        using var world = endpoint.Connect(1, rank, words[1..], patience.Token);
        using var step = new BareStep(spec, compute, model, samples, world, store: given.IsBeside ? null : _ => WholeGradients.Replicated(
            model.Parameters, rank, ranks, (buffer, half) => new Later(world, buffer, half),
            given.GradientType == "bf16" ? ScalarType.BFloat16 : null));

        var (start, exposed, loss) = (0L, 0.0, 0.0);
        for (var n = 0; n < Warm + Measured; n++)
        {
            if (n == Warm) (start, exposed) = (Stopwatch.GetTimestamp(), Exposed(step.Clock));
            loss = step.Run().Loss;
        }
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds / Measured;
        var waited = (Exposed(step.Clock) - exposed) / Measured;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{seconds:R} {waited:R} {loss:R}"));
    }

    private static double Exposed(PhaseClock clock)
    {
        clock.Enter(Phase.Idle);
        return clock.Seconds.GetValueOrDefault(Phase.Reduce);
    }

    private static RunSpec SpecOf(StepFiles files, OverlapCase given, int ranks) => new()
    {
        Model = new() { Path = files.Checkpoint, NumCrops = StepSamples.NumCrops },
        Method = new()
        {
            Kind = given.Method,
            Rank = StepFiles.Rank,
            Alpha = StepFiles.Alpha,
            Adapter = given.Method == "lora" ? files.Adapter : null,
        },
        Batch = new() { Global = ranks, GradientType = given.GradientType },
        Cluster = new() { MaxRanks = ranks, State = "replicated" },
        Epochs = Epochs,
        Optimizer = new() { LearningRate = 1e-5, Schedule = "constant", WarmupSteps = 0 },
    };

    /// <summary>As it was before sums went beside: made when they are waited for.</summary>
    private sealed class Later(ICollective world, Tensor buffer, HalfSum? half) : IPendingSum
    {
        public void Wait() => world.BeginAllReduce(buffer, half).Wait();
    }
}
