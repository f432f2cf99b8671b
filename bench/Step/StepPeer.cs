using System.Diagnostics;
using System.Globalization;

namespace Phi3VCluster.Bench.Step;

/// <summary>Hugging Face's step in eager PyTorch, with some of its settings.</summary>
internal sealed record StepPeer(string Name, IReadOnlyList<string> Settings)
{
    /// <summary>As a recipe runs it, and as the most careful user would: nothing is recomputed, no memory given back.</summary>
    public static IReadOnlyList<StepPeer> All { get; } =
        [new("HF eager", []), new("HF eager, tuned", ["--no-checkpointing", "--keep-freed-memory"])];

    /// <summary>The careful user's, weights, moments and all in bf16; its losses are its own.</summary>
    public static StepPeer InHalves { get; } = new("HF eager, tuned, bf16", [.. All[^1].Settings, "--bf16"]);

    /// <summary>Why there is no peer; null if there is one.</summary>
    public static string? Absence { get; } = DebianPython.Has("torch") ? null : "python3-torch not installed";

    public ProcessStartInfo Start(StepJob job)
    {
        string[] arguments =
        [
            "--turns", "--method", job.Method, "--checkpoint", job.Files.Checkpoint, "--samples", job.Files.Samples,
            "--global-batch", Text(job.Pages), "--threads", Text(job.Threads), "--learning-rate", Text(job.LearningRate),
            "--rank", Text(StepFiles.Rank), "--alpha", Text(StepFiles.Alpha), "--num-crops", Text(StepSamples.NumCrops), .. Settings,
        ];
        string[] adapter = job.Method == "lora" ? ["--adapter", job.Files.Adapter] : [];
        var start = DebianPython.Script("hf_step.py", [.. arguments, .. adapter]);
        // Left alone, OpenBLAS takes the kernels of this processor; what the environment pins for other programs may be slower ones.
        start.Environment.Remove("OPENBLAS_CORETYPE");
        start.Environment.Remove("OPENBLAS_L2_SIZE");
        return start;
    }

    private static string Text(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
}
