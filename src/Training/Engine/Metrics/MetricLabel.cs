namespace Phi3VCluster.Training.Engine;

/// <summary>A label of metrics. Each is defined once, and means the same wherever it stands.</summary>
/// <param name="Meaning">For <c>docs/metrics.md</c>: what it holds and how many values it can have.</param>
public sealed record MetricLabel(string Name, string Meaning)
{
    public static readonly MetricLabel Run = new("run", "The run's id, of runs that have not ended.");
    public static readonly MetricLabel Node = new("node", "Name of the node that the value is about; its silo has the same name.");
    public static readonly MetricLabel Seat = new("seat", "The run's seat on the node, numbered for the run's life.");
    public static readonly MetricLabel Rank = new(
        "rank", "What the seat was called in its generation, from 0 to the world size less one. Empty before its first generation.");
    public static readonly MetricLabel Phase = new("phase", "What a rank's time went to; one of the phases below.");
    public static readonly MetricLabel Method = new("method", "`method.kind` of the spec: full, frozen-vision, head, lora or qlora.");
    public static readonly MetricLabel Precision = new("precision", "fp32, bf16 or fp16.");
    public static readonly MetricLabel FlashAttention = new(
        "flash_attention", "true where the GPU's flash kernel computes attention: on CUDA, in bf16, unless the spec says eager.");
    public static readonly MetricLabel Nodes = new("nodes", "Nodes that have ranks of the generation.");
    public static readonly MetricLabel Gpus = new("gpus", "GPUs of the generation; 0 where its ranks compute on CPUs.");
    public static readonly MetricLabel Gpu = new("gpu", "Name of rank 0's card as its driver says it, or cpu.");
    public static readonly MetricLabel GlobalBatch = new(
        "global_batch", "Samples of one optimizer step over all ranks: the effective batch.");
    public static readonly MetricLabel Cause = new("cause", "Why a generation ended: loss, fault, stall, echo, missed or boundary.");
    public static readonly MetricLabel State = new("state", "One of a few words that the metric's description lists.");
    public static readonly MetricLabel Outcome = new("outcome", "How a run ended: done, failed or cancelled.");
    public static readonly MetricLabel Version = new("version", "Version of the silo's build.");
}
