using System.Diagnostics;
using System.Text.Json;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Checkpoints;
using SkiaSharp;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>
/// Real ranks that are aborted in each of their phases: the thread ends, and does so long before what it was doing would have. The time it
/// takes is printed; the limit leaves room for a machine that is busy with other things.
/// </summary>
[Collection<AloneCollection>]
public sealed class AbortTests(ITestOutputHelper output) : IClassFixture<AbortTests.Files>
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(8);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan WellInto = TimeSpan.FromSeconds(1);

    [Fact]
    public void While_loading() => Ends("loading", Files.Spec, seats: 1, joins: false, p => p.Phase == RankPhase.Loading);

    [Fact]
    public void While_connecting()
    {
        using var run = Start(Files.Spec, seats: 2, joins: true, leaves: 1);

        Measure("connecting", run, p => p.Phase == RankPhase.Joining);
    }

    [Fact]
    public void While_waiting_for_data() => Ends("waiting for data",
        Files.Spec with { Data = Files.Spec.Data with { Train = Files.SlowTrain, Workers = 1 }, Batch = new() { Global = Files.Rows } },
        seats: 1, joins: true, p => p.Phase == RankPhase.Training);

    [Fact]
    public void Within_a_pass() => Ends("within a pass",
        Files.Spec with { Batch = new() { Global = Files.Rows, Micro = Files.Rows } },
        seats: 1, joins: true, p => p.Phase == RankPhase.Training);

    [Fact]
    public void Between_the_passes_of_a_step() => Ends("between passes",
        Files.Spec with { Batch = new() { Global = Files.Rows, Micro = 1 } }, seats: 1, joins: true, p => p.Phase == RankPhase.Training);

    [Theory]
    [InlineData("loss")]
    [InlineData("anls")]
    public void While_evaluating(string metric) => Ends($"evaluating {metric}",
        Files.Spec with
        {
            Data = Files.Spec.Data with { Eval = Files.EvalRows },
            Evaluation = new() { Metric = metric, MaxNewTokens = 500 },
        },
        seats: 1, joins: true, p => p.Phase == RankPhase.EvaluatingBefore);

    /// <summary>Seat 1 waits for its data for long, and seat 0 for it.</summary>
    [Fact]
    public void In_the_ring() => Ends("in the ring",
        Files.Small with
        {
            Data = Files.Small.Data with { Train = Files.OneSlow, Shuffle = false, Workers = 1 },
            Batch = new() { Global = 2 * Files.Rows },
        },
        seats: 2, joins: true, p => p.Phase == RankPhase.Training);

    private void Ends(string when, RunSpec spec, int seats, bool joins, Func<RankProgress, bool> reached)
    {
        using var run = Start(spec, seats, joins);

        Measure(when, run, reached);
    }

    private static LocalRun Start(RunSpec spec, int seats, bool joins, int leaves = 0)
    {
        var run = new LocalRun(spec, Path.Combine(Files.Folder, Guid.NewGuid().ToString("N")));
        run.Take(seats);
        if (!joins) return run;
        run.Until("all are ready", p => p.Phase == RankPhase.Parked);
        run.Join(joins: seats - leaves);
        return run;
    }

    /// <summary>Has seat 0 leave its generation, and then its place; each takes a moment only.</summary>
    private void Measure(string when, LocalRun run, Func<RankProgress, bool> reached)
    {
        Eventually(() => reached(run.Progress[0]) || run.Progress[0].Error is not null, $"the rank is {when}");
        Thread.Sleep(WellInto); // every phase here lasts ten times that, loading aside
        if (run.Generation > 0)
        {
            Assert.True(reached(run.Progress[0]), $"{run.Progress[0].Phase}: {run.Progress[0].Error}");
            var parked = Time(() => run.Break(0), () => run.Progress[0].Phase == RankPhase.Parked, $"{when}: it parks");
            Assert.Equal((FaultKind.None, 0L), (run.Progress[0].Fault, run.Progress[0].Offer!.Step));
            Assert.True(parked < Limit, $"{when}: parked after {parked}");
        }
        var left = Time(() => run.Leave(0), () => !run.Occupied.Any(id => id.Seat == 0), $"{when}: the thread ends");
        Assert.Equal((RankPhase.Stopped, "the test's will"), (run.Progress[0].Phase, run.Progress[0].Error));
        Assert.True(left < Limit, $"{when}: ended after {left}");
    }

    private TimeSpan Time(Action act, Func<bool> condition, string what)
    {
        var started = Stopwatch.GetTimestamp();
        act();
        Eventually(condition, what);
        var took = Stopwatch.GetElapsedTime(started);
        output.WriteLine($"{what} after {took.TotalMilliseconds:0} ms");
        return took;
    }

    private static void Eventually(Func<bool> condition, string what) =>
        Assert.True(SpinWait.SpinUntil(condition, Patience), $"never happened: {what}");

    /// <summary>A deep model, whose passes take long, and pages that take long to decode.</summary>
    public sealed class Files : IDisposable
    {
        public const int Rows = 64;
        private const int Side = 5000;

        private static readonly TemporaryFolder Temporary = new();
        private static readonly QuickstartFiles Made = QuickstartFiles.Create(Temporary["deep"], seed: 3, new(TrainPages: 8, EvalPages: 8,
            new TinySizes(Hidden: 128, Intermediate: 512, Layers: 32, Heads: 4, KeyValueHeads: 4, TowerLayers: 12)));
        private static readonly QuickstartFiles Shallow =
            QuickstartFiles.Create(Temporary["small"], seed: 3, new(TrainPages: 4, EvalPages: 4, TinySizes.Smallest));

        public static string Folder => Temporary.Path;

        public static RunSpec Spec { get; } = new()
        {
            Model = new() { Path = Made.Checkpoint, NumCrops = 1 },
            Method = new() { Kind = "full" },
            Data = new() { Train = Repeated(Made.Train) },
            Optimizer = new() { LearningRate = 1e-4, WarmupSteps = 0 },
            Output = Temporary.Path,
        };

        public static RunSpec Small { get; } = Spec with
        {
            Model = Spec.Model with { Path = Shallow.Checkpoint },
            Data = new() { Train = Shallow.Train },
            Batch = new() { Global = 2 },
            Epochs = 2,
        };

        public static string EvalRows { get; } = Repeated(Made.Eval);

        public static string SlowTrain { get; } = Slow();

        /// <summary>The second of each two samples takes long.</summary>
        public static string OneSlow { get; } = Alternating();

        public void Dispose() => Temporary.Dispose();

        private static string Alternating()
        {
            var (fast, slow) = (File.ReadAllLines(Shallow.Train), File.ReadAllLines(SlowTrain));
            var path = Path.Combine(Path.GetDirectoryName(Shallow.Train)!, "alternating.jsonl");
            var large = JsonSerializer.Serialize(Temporary["large.png"]);
            File.WriteAllLines(path, slow.SelectMany(row =>
                (string[])[fast[0], row.Replace("\"large.png\"", large, StringComparison.Ordinal)]));
            return path;
        }

        private static string Repeated(string jsonl)
        {
            var rows = File.ReadAllLines(jsonl);
            var path = Path.Combine(Path.GetDirectoryName(jsonl)!, $"many-{Path.GetFileName(jsonl)}");
            File.WriteAllLines(path, Enumerable.Range(0, Rows).Select(i => rows[i % rows.Length]));
            return path;
        }

        private static string Slow()
        {
            using var bitmap = new SKBitmap(Side, Side);
            bitmap.Erase(SKColors.Beige);
            using (var file = File.Create(Temporary["large.png"])) bitmap.Encode(file, SKEncodedImageFormat.Png, 100);
            File.WriteAllLines(Temporary["slow.jsonl"], Enumerable.Range(0, Rows).Select(i =>
                $$"""{"id": "{{i}}", "conversations": [{"images": ["large.png"], "user": "What is it?", "assistant": "Beige."}]}"""));
            return Temporary["slow.jsonl"];
        }
    }
}
