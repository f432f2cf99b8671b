using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Engine;

/// <summary>What tells one row of the speed table from another, as labels: a run that loses a node goes on in another row.</summary>
/// <param name="Gpus">0 where ranks compute on CPUs.</param>
/// <param name="Gpu">The card's name, or "cpu".</param>
internal sealed record SpeedRowLabels(
    string Run, string Method, string Precision, bool FlashAttention, int Nodes, int Gpus, string Gpu, int GlobalBatch)
{
    public static IReadOnlyList<MetricLabel> All { get; } =
    [
        MetricLabel.Run, MetricLabel.Method, MetricLabel.Precision, MetricLabel.FlashAttention, MetricLabel.Nodes, MetricLabel.Gpus,
        MetricLabel.Gpu, MetricLabel.GlobalBatch,
    ];

    public static SpeedRowLabels Of(RunHome home, int nodes, int worldSize)
    {
        var (spec, cuda) = (home.Spec, home.Compute.Device.type == TorchSharp.DeviceType.CUDA);
        var flash = cuda && spec.Precision == "bf16" && spec.Attention != "eager"; // bf16 is refused where the kernel does not run
        return new(home.Run, spec.Method.Kind, spec.Precision, flash, nodes, cuda ? worldSize : 0,
            cuda ? home.DeviceName["cuda ".Length..] : "cpu", spec.Batch.Global);
    }

    public object?[] Values() => [Run, Method, Precision, FlashAttention ? "true" : "false", Nodes, Gpus, Gpu, GlobalBatch];
}
