using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Bench.Step;

/// <summary>
/// The released model's size on a CPU: QLoRA on a checkpoint of random weights, made for it (8.3 GB in the temporary folder, removed
/// afterwards). One precision after the other, for two would not fit in memory together.
/// </summary>
internal sealed class TrueSizeBenchmark : IBenchmark
{
    private const int WarmUps = 1, Steps = 2, PageSide = 2;

    public string Name => "true-size";

    public string Description =>
        $"QLoRA steps at the released size, a page of {PageSide * PageSide + 1} crops each, fp32 and bf16, all cores";

    public IEnumerable<BenchRow> Run(BenchOptions options)
    {
        LibTorch.Load();
        var folder = Directory.CreateTempSubdirectory("phi3v-bench-true-size");
        try
        {
            var files = StepFiles.CreateCheckpoint(folder.FullName, StepSizes.Released, ScalarType.BFloat16);
            foreach (var precision in (string[])["fp32", "bf16"])
            {
                var job = new StepJob(files, "qlora", Environment.ProcessorCount, Pages: 1, LearningRate: 1e-4)
                {
                    Precision = precision,
                    PageSide = PageSide,
                };
                using var ours = new StepProcess(precision, StepWorker.Start(job));
                for (var step = 0; step < WarmUps + Steps; step++) ours.TakeStep();
                var losses = string.Join(", ", ours.Losses.Select(loss => FormattableString.Invariant($"{loss:F4}")));
                yield return new($"qlora, {precision}", ours.MedianSeconds(WarmUps), "s a step") { Note = $"losses {losses}" };
                yield return new($"qlora, {precision}, peak memory", ours.PeakBytes / 1e9, "GB");
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
