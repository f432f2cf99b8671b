using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Bench.Step;

/// <summary>
/// A whole training step on letter pages, beside the same step as Hugging Face takes it: the same weights, pages and learning rate, so
/// that the losses must agree. All take turns, step by step, so that a slow minute of the machine hits every one of them.
/// </summary>
internal sealed class StepBenchmark : IBenchmark
{
    private const int Pages = 1, WarmUps = 1, Steps = 3;
    private const double LearningRate = 1e-4;

    /// <summary>Relative. Float32 sums of different order differ by less over a few steps; another formula by more.</summary>
    private const double LossTolerance = 1e-4;

    private static readonly string[] Methods = ["full", "lora", "frozen-vision"];
    private static readonly int[] ThreadCounts = [1, 2];

    public string Name => "step";

    public string Description =>
        $"training step of {Pages} letter pages, by method, 1 and 2 threads; beside Hugging Face's step on python3-torch";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-step");
        try
        {
            var files = StepFiles.Create(folder.FullName, new(), Pages);
            var peers = options.Peers ? StepPeer.All : [];
            var absence = options.Peers ? StepPeer.Absence : null;
            foreach (var threads in ThreadCounts)
            {
                foreach (var method in Methods)
                {
                    var job = new StepJob(files, method, threads, Pages, LearningRate);
                    foreach (var row in Measure(job, absence is null ? peers : [], absence)) yield return row;
                    if (!CpuBf16.HasUnits) continue;
                    foreach (var row in MeasureHalves(job, options.Peers && absence is null)) yield return row;
                }
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static List<BenchRow> Measure(StepJob job, IReadOnlyList<StepPeer> peers, string? absence)
    {
        using var contenders = new StepTurns();
        List<StepProcess> others = [.. peers.Select(peer => contenders.Add(peer.Name, peer.Start(job)))];
        var ours = contenders.Add("ours", StepWorker.Start(job));
        contenders.Take(WarmUps + Steps);
        return [.. others.Count == 0 ? Rows(job, ours, null, absence) : others.SelectMany(peer => Rows(job, ours, peer, null))];
    }

    /// <summary>Turns of their own: all contenders in memory at once would be too many.</summary>
    private static List<BenchRow> MeasureHalves(StepJob job, bool hasPeer)
    {
        using var contenders = new StepTurns();
        var whole = contenders.Add("ours, fp32", StepWorker.Start(job));
        var half = contenders.Add("ours, bf16", StepWorker.Start(job with { Precision = "bf16" }));
        var peer = hasPeer ? contenders.Add(StepPeer.InHalves.Name, StepPeer.InHalves.Start(job)) : null;
        contenders.Take(WarmUps + Steps);
        return [.. HalfRows(job, half, whole), .. peer is null ? [] : HalfRows(job, half, peer)];
    }

    private static IEnumerable<BenchRow> Rows(StepJob job, StepProcess ours, StepProcess? peer, string? absence)
    {
        var label = $"{job.Method}, {job.Threads} {(job.Threads == 1 ? "thread" : "threads")}";
        var agree = peer is null || Difference(ours.Losses, peer.Losses) <= LossTolerance;
        var losses = peer is null ? absence : Losses(ours.Losses, peer.Losses, agree);
        yield return Row(label, job.Pages / ours.MedianSeconds(WarmUps), job.Pages / peer?.MedianSeconds(WarmUps), "img/s", losses);
        yield return Row($"{label}, peak memory", ours.PeakBytes / 1e9, peer?.PeakBytes / 1e9, "GB", note: null);

        // What computed something else is no peer: its numbers are not shown beside ours.
        BenchRow Row(string what, double measured, double? theirs, string unit, string? note) =>
            new(what, measured, unit) { Peer = peer?.Name, PeerMeasured = agree ? theirs : null, Note = note };
    }

    /// <summary>Our step in bf16 beside another, whose losses are not the same.</summary>
    private static IEnumerable<BenchRow> HalfRows(StepJob job, StepProcess half, StepProcess other)
    {
        var label = $"{job.Method}, {job.Threads} {(job.Threads == 1 ? "thread" : "threads")}, bf16";
        var losses = FormattableString.Invariant($"losses {half.Losses[^1]:F5} and {other.Losses[^1]:F5} at step {half.Losses.Count}");
        var (mine, theirs) = (job.Pages / half.MedianSeconds(WarmUps), job.Pages / other.MedianSeconds(WarmUps));
        yield return new(label, mine, "img/s") { Peer = other.Name, PeerMeasured = theirs, Note = losses };
        yield return new($"{label}, peak memory", half.PeakBytes / 1e9, "GB") { Peer = other.Name, PeerMeasured = other.PeakBytes / 1e9 };
    }

    private static string Losses(IReadOnlyList<double> ours, IReadOnlyList<double> theirs, bool agree) =>
        FormattableString.Invariant($"{(agree ? "losses agree" : "LOSSES DIFFER")} within {Difference(ours, theirs):0.0e+0}: ")
        + FormattableString.Invariant($"{ours[^1]:F5} and {theirs[^1]:F5} at step {ours.Count}");

    private static double Difference(IReadOnlyList<double> ours, IReadOnlyList<double> theirs) =>
        ours.Zip(theirs, (mine, other) => Math.Abs(mine - other) / Math.Abs(other)).Max();
}

/// <summary>What every contender of a case does.</summary>
/// <param name="Pages">Samples of a step; the same ones in each.</param>
internal sealed record StepJob(StepFiles Files, string Method, int Threads, int Pages, double LearningRate)
{
    /// <summary>What our step is to do differently.</summary>
    public Saving Change { get; init; } = Saving.None;

    /// <summary>What ours computes in.</summary>
    public string Precision { get; init; } = "fp32";

    /// <summary>Crops on each side of ours.</summary>
    public int PageSide { get; init; } = StepSamples.Side;
}
