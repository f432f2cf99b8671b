using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Spec.Recipes;

/// <summary>A row of the recipe's speed table: what is trained, how attention is computed, on how many GPUs.</summary>
/// <param name="Gpus">0 is one rank on a CPU.</param>
public sealed record SpeedRow(string Method, bool HasFlash, int Gpus);

/// <summary>The recipe's speed table: its rows, and the rows that a machine can add to them.</summary>
public static class SpeedTable
{
    /// <summary>Samples of a step over all GPUs, in every row that was published.</summary>
    public const int EffectiveBatch = 64;

    /// <summary>On a CPU, where a page takes seconds.</summary>
    public const int CpuBatch = 4;

    private const int LoraRank = 32, LoraAlpha = 16, Crops = 16;

    public static IReadOnlyList<string> Methods { get; } = ["full", "frozen-vision", "lora", "qlora"];

    /// <summary>As published for A100, the base row first. The recipes speed-a100-… run them.</summary>
    public static IReadOnlyList<SpeedRow> Published { get; } =
    [
        new("full", false, 8), new("full", true, 8), new("full", true, 16), new("full", true, 32),
        new("frozen-vision", false, 8), new("frozen-vision", true, 8), new("lora", false, 8), new("lora", true, 8),
        new("qlora", false, 8), new("qlora", true, 8),
    ];

    /// <summary>The small model that stands for the released one on a CPU.</summary>
    public static ModelSizes CpuModel { get; } = new()
    {
        Width = 256,
        Heads = 4,
        KeyValueHeads = 4,
        Layers = 4,
        Intermediate = 704,
        TowerWidth = 128,
        TowerHeads = 2,
        TowerLayers = 3,
        TowerIntermediate = 512,
    };

    /// <summary>Rows of a machine with so many GPUs, those first that it can run.</summary>
    /// <param name="methods">Of <see cref="Methods"/>; empty for all.</param>
    public static IReadOnlyList<SpeedRow> RowsFor(int gpus, IReadOnlyList<string> methods)
    {
        var own = from method in Methods
                  from flash in gpus == 0 ? [false] : (bool[])[false, true]
                  from count in ((int[])[Math.Min(gpus, 1), gpus]).Distinct()
                  select new SpeedRow(method, flash, count);
        return [.. own.Concat(Published).Distinct().Where(row => methods.Count == 0 || methods.Contains(row.Method))];
    }

    /// <param name="precision">What the device multiplies fast.</param>
    public static RunSpec SpecOf(SpeedRow row, string precision) => new()
    {
        Name = "speed",
        Model = new() { Path = "random weights", NumCrops = Crops },
        Method = new() { Kind = row.Method, Rank = LoraRank, Alpha = LoraAlpha },
        Precision = precision,
        Attention = row.Gpus == 0 ? "auto" : row.HasFlash ? "flash" : "eager",
        Batch = new() { Global = row.Gpus == 0 ? CpuBatch : EffectiveBatch, Micro = 1 },
        Optimizer = new() { LearningRate = 1e-5, Schedule = "constant", WarmupSteps = 0, OnNonFinite = "skip" },
        Epochs = int.MaxValue / EffectiveBatch, // one step each: more than anybody waits for
    };
}
