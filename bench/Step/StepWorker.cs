using System.Diagnostics;
using System.Globalization;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Step;

/// <summary>Our step, in a process of its own that takes turns as <see cref="StepProcess"/> says.</summary>
internal static class StepWorker
{
    public const string Verb = "step-worker";

    private const int Epochs = 1000; // more steps than anybody will ask for

    public static ProcessStartInfo Start(StepJob job)
    {
        var program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program);
        if (Path.GetFileNameWithoutExtension(program) == "dotnet") start.ArgumentList.Add(typeof(StepWorker).Assembly.Location);
        string[] arguments =
        [
            Verb, job.Files.Folder, job.Method, Text(job.Threads), Text(job.Pages), Text(job.LearningRate),
            job.Change.ToString(), job.Precision, Text(job.PageSide),
        ];
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        return start;
    }

    /// <param name="arguments">Those of <see cref="Start"/>, without the verb.</param>
    public static int Run(IReadOnlyList<string> arguments)
    {
        LibTorch.Load();
        var job = new StepJob(new(arguments[0], new()), arguments[1], int.Parse(arguments[2], CultureInfo.InvariantCulture),
            int.Parse(arguments[3], CultureInfo.InvariantCulture), double.Parse(arguments[4], CultureInfo.InvariantCulture))
        {
            Change = Enum.Parse<Saving>(arguments[5]),
            Precision = arguments[6],
            PageSide = int.Parse(arguments[7], CultureInfo.InvariantCulture),
        };
        // A thread of its own, as a rank has: allocators and libtorch treat the main thread differently.
        var rank = new Thread(() => TakeTurns(job));
        rank.Start();
        rank.Join();
        return 0;
    }

    private static void TakeTurns(StepJob job)
    {
        set_num_threads(job.Threads);
        var spec = SpecOf(job);
        var samples = StepSamples.Make(job.Pages, job.Files.Sizes.Vocabulary, job.Change == Saving.AnswerRowsOnly, side: job.PageSide);
        var compute = RankCompute.Of(spec, cudaDevice: null);
        using var model = TrainedModel.Load(spec, compute);
        using var world = Catalog<ICollectiveBackend>.Find("loopback", "step").Open("").Connect(1, 0, [""], CancellationToken.None);
        // Without a cache every step sees new pages, as far as it knows.
        using var features = job.Change == Saving.KeptFeatures && !model.Model.VisionIsTrained ? FeatureCache.Open("step", "memory") : null;
        using var step = new BareStep(spec, compute, model, samples, world, features);

        Console.WriteLine("ready");
        while (Console.ReadLine() is not null)
        {
            var start = Stopwatch.GetTimestamp();
            var result = step.Run();
            var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            Console.WriteLine(new StepProcess.Answer(seconds, result.Loss, ProcessMemory.Peak()).ToJson());
        }
    }

    private static RunSpec SpecOf(StepJob job) => new()
    {
        Model = new() { Path = job.Files.Checkpoint, NumCrops = StepSamples.NumCrops },
        Method = new()
        {
            Kind = job.Method,
            Rank = StepFiles.Rank,
            Alpha = StepFiles.Alpha,
            Adapter = job.Method == "lora" ? job.Files.Adapter : null,
        },
        Batch = new() { Global = job.Pages },
        Precision = job.Precision,
        Attention = job.Change == Saving.FusedAttention ? "eager" : "auto",
        ActivationCheckpointing = job.Change == Saving.KeptActivations ? "full" : "none",
        Epochs = Epochs,
        Optimizer = new() { LearningRate = job.LearningRate, Schedule = "constant", WarmupSteps = 0 },
    };

    private static string Text(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
}
