namespace Phi3VCluster.Spec.Jobs;

/// <summary>The recipe's speed table as a node reached it.</summary>
/// <param name="Device">"cpu", or "cuda" with the card's name.</param>
/// <param name="Gpus">Of the node.</param>
/// <param name="Model">Its sizes in words.</param>
/// <param name="IsReleasedSize">Whether they are the released models'.</param>
/// <param name="PageTokens">Of the pages, on average.</param>
/// <param name="PageCrops">Of the pages, on average.</param>
/// <param name="Ceiling">Operations a second of one large product on one device: what model FLOPs utilization is a part of.</param>
/// <param name="Rows">Those that ran first.</param>
/// <param name="Seconds">That all took.</param>
public sealed record BenchResult(
    string Device, int Gpus, string Model, bool IsReleasedSize, double PageTokens, double PageCrops, double Ceiling,
    IReadOnlyList<BenchRow> Rows, double Seconds) : JobResult;

/// <param name="FlashAttention">Whether attention was asked to be the flash kernels'.</param>
/// <param name="Gpus">0 is one rank on a CPU.</param>
/// <param name="MicroBatch">Pages of a pass on a GPU.</param>
/// <param name="EffectiveBatch">Pages of a step over all GPUs.</param>
public sealed record BenchRow(string Method, string Precision, bool FlashAttention, int Gpus, int MicroBatch, int EffectiveBatch)
{
    /// <summary>What is computed again in backward: none, selective or full.</summary>
    public string? ActivationCheckpointing { get; init; }
    /// <summary>That were timed.</summary>
    public int Steps { get; init; }
    public double? ImagesPerSecond { get; init; }
    /// <summary>Bytes: in tensors on the fullest GPU, or of the process. Null where that cannot be told.</summary>
    public double? PeakBytes { get; init; }
    /// <summary>A second, on each device: the products of the model's maps, there and back, nothing counted twice.</summary>
    public double? Operations { get; init; }
    /// <summary>Why there is no figure; null where there is one.</summary>
    public string? NotRun { get; init; }
}
