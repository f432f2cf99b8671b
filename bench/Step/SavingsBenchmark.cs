using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Bench.Step;

/// <summary>Something that a step of ours does not do, or does only once; named for what is lost without it.</summary>
internal enum Saving
{
    None,
    /// <summary>Logits, and the last layer's work, at the positions of answers alone.</summary>
    AnswerRowsOnly,
    /// <summary>Nothing is computed again in backward.</summary>
    KeptActivations,
    /// <summary>Attention scores are never written out.</summary>
    FusedAttention,
    /// <summary>The tower's last layer, which nothing reads, is not run.</summary>
    UnusedLayer,
    /// <summary>A frozen vision model runs once for each picture, and not in every epoch.</summary>
    KeptFeatures,
}

/// <summary>
/// Where the step's speed comes from: each saving switched off in turn, beside the step as it is, taking turns. Features are kept from
/// the second epoch on, so there the step without is the usual one and the step with it is the change.
/// </summary>
internal sealed class SavingsBenchmark : IBenchmark
{
    private const int Pages = 1, WarmUps = 1, Steps = 3, Threads = 1;
    private const double LearningRate = 1e-4;

    public string Name => "savings";

    public string Description => "training step of letter pages with each saving switched off in turn, 1 thread, by method";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-savings");
        try
        {
            var sizes = new StepSizes();
            var files = StepFiles.Create(Path.Combine(folder.FullName, "as-is"), sizes, Pages);
            var withUnused = StepFiles.Create(
                Path.Combine(folder.FullName, "unused"), sizes with { TowerLayers = sizes.TowerLayers + 1 }, Pages);
            foreach (var method in (string[])["full", "lora", "frozen-vision"])
            {
                var savings = Enum.GetValues<Saving>().Where(saving =>
                    saving != Saving.None && (saving != Saving.KeptFeatures || method == "frozen-vision"));
                foreach (var saving in savings)
                    yield return Measure(new(files, method, Threads, Pages, LearningRate), saving, withUnused);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static BenchRow Measure(StepJob usual, Saving saving, StepFiles withUnused)
    {
        var changed = usual with { Change = saving, Files = saving == Saving.UnusedLayer ? withUnused : usual.Files };
        using var one = new StepProcess("usual", StepWorker.Start(usual));
        using var other = new StepProcess($"{saving}", StepWorker.Start(changed));
        for (var step = 0; step < WarmUps + Steps; step++)
        {
            one.TakeStep();
            other.TakeStep();
        }
        double Speed(StepProcess process) => usual.Pages / process.MedianSeconds(WarmUps);
        var (with, without) = saving == Saving.KeptFeatures ? (other, one) : (one, other);
        return new($"{usual.Method}, {saving}", Speed(with), "img/s")
        {
            Peer = "without",
            PeerMeasured = Speed(without),
            Note = FormattableString.Invariant($"peak {with.PeakBytes / 1e9:f2} GB, without {without.PeakBytes / 1e9:f2} GB"),
        };
    }
}
