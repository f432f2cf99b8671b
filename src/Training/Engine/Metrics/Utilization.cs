using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Model FLOPs utilization, from below. Counted are the decoder layers' matrices alone: two operations a weight and position forward, as
/// many again for the gradients of activations, and for those of weights where they are trained. Not counted are attention's products, the
/// head, the vision tower, adapters, and what is computed twice to save memory.
/// </summary>
internal static class Utilization
{
    /// <summary>Dense 16-bit tensor operations per second, as NVIDIA's data sheets have them; the first name that fits counts.</summary>
    private static readonly (string Name, double Peak)[] Cards =
    [
        ("H200", 989e12), ("H100 PCIe", 756e12), ("H100 NVL", 835e12), ("H100", 989e12), ("A100", 312e12),
        ("V100-SXM", 125e12), ("V100-PCIE", 112e12),
    ];

    /// <returns>Null on other cards, on CPUs, and in float32, which the peak is not for.</returns>
    /// <param name="gpu">The card's name, or "cpu".</param>
    /// <param name="tokensPerSecond">Over all ranks.</param>
    public static double? Of(RunSpec spec, ModelSizes? sizes, string gpu, int gpus, double tokensPerSecond)
    {
        if (sizes is null || gpus == 0 || spec.Precision is not ("bf16" or "fp16")) return null;
        var peak = Cards.FirstOrDefault(card => gpu.Contains(card.Name, StringComparison.OrdinalIgnoreCase)).Peak;
        return peak > 0 ? OperationsPerToken(spec.Method.Kind, sizes) * tokensPerSecond / (gpus * peak) : null;
    }

    internal static double OperationsPerToken(string method, ModelSizes sizes)
    {
        var passes = method switch { "head" => 1, "lora" or "qlora" => 2, _ => 3 };
        return 2.0 * passes * sizes.Layers * sizes.LayerMatrices;
    }
}
