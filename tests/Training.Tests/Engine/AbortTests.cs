using System.Diagnostics;
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
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan WellInto = TimeSpan.FromSeconds(1);

    private readonly RankWorkers _workers = new(2);

    [Fact]
    public void While_connecting() => Abort("connecting", Files.Spec, worldSize: 2, begun: 1, p => p.Phase == RankPhase.Starting);

    [Fact]
    public void While_waiting_for_data() => Abort("waiting for data",
        Files.Spec with { Data = Files.Spec.Data with { Train = Files.SlowTrain, Workers = 1 }, Batch = new() { Global = Files.Rows } },
        worldSize: 1, begun: 1, p => p.Phase == RankPhase.Training);

    [Fact]
    public void Within_a_pass() => Abort("within a pass",
        Files.Spec with { Batch = new() { Global = Files.Rows, Micro = Files.Rows } },
        worldSize: 1, begun: 1, p => p.Phase == RankPhase.Training);

    [Fact]
    public void Between_the_passes_of_a_step() => Abort("between passes",
        Files.Spec with { Batch = new() { Global = Files.Rows, Micro = 1 } }, worldSize: 1, begun: 1, p => p.Phase == RankPhase.Training);

    [Theory]
    [InlineData("loss")]
    [InlineData("anls")]
    public void While_evaluating(string metric) => Abort($"evaluating {metric}",
        Files.Spec with
        {
            Data = Files.Spec.Data with { Eval = Files.EvalRows },
            Evaluation = new() { Metric = metric, MaxNewTokens = 500 },
        },
        worldSize: 1, begun: 1, p => p.Phase == RankPhase.EvaluatingBefore);

    [Fact]
    public void At_the_barrier() => Abort("at the barrier", Files.Small, worldSize: 1, begun: 1, p => p.Phase == RankPhase.AtBarrier);

    /// <summary>Rank 0 is let past the barrier, and rank 1 is not: rank 0 waits for it in the ring.</summary>
    [Fact]
    public void In_the_ring()
    {
        var ids = Begin(Files.Small, worldSize: 2, begun: 2);
        Until(() => _workers.Progress().All(p => p.Phase == RankPhase.AtBarrier), "both are at the barrier");
        _workers.PassBarrier(ids[0], 1);
        Until(() => _workers.Progress().Single(p => p.Id == ids[0]).Phase == RankPhase.Training, "rank 0 goes on");
        Thread.Sleep(WellInto);

        Ends("in the ring", ids[0]);

        _workers.Abort(ids[1], "the end");
        Until(() => _workers.Occupied().Count == 0, "rank 1 ends too");
    }

    private void Abort(string when, RunSpec spec, int worldSize, int begun, Func<RankProgress, bool> reached)
    {
        try
        {
            var ids = Begin(spec, worldSize, begun);
            Until(() => _workers.Progress().Any(p => reached(p) || p.Error is not null), $"the rank is {when}");
            Thread.Sleep(WellInto); // every phase here lasts ten times that
            var rank = _workers.Progress().First(p => p.Id == ids[0]);
            Assert.True(reached(rank), $"{rank.Phase}: {rank.Error}");
            Ends(when, ids[0]);
        }
        finally
        {
            _workers.Dispose();
        }
    }

    private List<RankId> Begin(RunSpec spec, int worldSize, int begun)
    {
        var ids = Enumerable.Range(0, worldSize).Select(rank => new RankId(Guid.NewGuid().ToString("N"), 1, rank)).ToList();
        var json = RunSpecJson.ToText(spec);
        var addresses = ids.Select(id => _workers.Prepare(id, json, worldSize == 1 ? "loopback" : "tcp")).ToList();
        foreach (var id in ids.Take(begun)) Assert.True(_workers.Begin(id, worldSize, addresses, Path.Combine(Files.Folder, ids[0].Run)));
        return ids;
    }

    private void Ends(string when, RankId id)
    {
        var started = Stopwatch.GetTimestamp();
        _workers.Abort(id, "the test's will");
        Until(() => !_workers.Occupied().Contains(id), $"the thread ends that is {when}");
        var took = Stopwatch.GetElapsedTime(started);
        output.WriteLine($"{when}: ended after {took.TotalMilliseconds:0} ms");
        var last = _workers.Progress().Single(p => p.Id == id);
        Assert.Equal((RankPhase.Stopped, "the test's will"), (last.Phase, last.Error));
        Assert.True(took < Limit, $"{when}: ended after {took}");
    }

    private static void Until(Func<bool> condition, string what) =>
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

        public void Dispose() => Temporary.Dispose();

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
