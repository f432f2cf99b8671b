using Phi3VCluster.Spec;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>Where and in which type a rank computes.</summary>
/// <param name="Type">Of weights, activations and trained values.</param>
internal sealed record RankCompute(Device Device, ScalarType Type, ComputeOptions Model)
{
    /// <summary>The first compute capability with bf16 units, and the least that flash attention runs on.</summary>
    public const int Ampere = 8;

    private const string NeedsHopper = "8-bit products need a GPU with 9.0 (H100, H200), got true; write false, or use another GPU.";

    /// <summary>What a machine without a choice computes with: float32 on the CPU.</summary>
    public static RankCompute Plain { get; } = new(CPU, ScalarType.Float32, new());

    /// <summary>On the CPU, or on a CUDA device.</summary>
    /// <param name="cudaDevice">Null for the CPU.</param>
    /// <exception cref="InputException">The device lacks what the spec asks for.</exception>
    public static RankCompute Of(RunSpec spec, int? cudaDevice)
    {
        List<string> problems = cudaDevice is { } index
            ? [.. Problems(spec, Cuda.Capability(index), Cuda.Name(index))]
            : spec.Fp8 ? [$"fp8: this rank computes on a CPU, and {NeedsHopper}"] : [];
        if (problems.Count > 0) throw new InputException(problems);
        var options = new ComputeOptions
        {
            Attention = spec.Attention == "eager" ? AttentionKernel.Eager : AttentionKernel.Fused,
            Fp8 = spec.Fp8,
            Checkpointing = Enum.Parse<ActivationCheckpointing>(spec.ActivationCheckpointing, ignoreCase: true),
        };
        return new(cudaDevice is { } device ? new Device(DeviceType.CUDA, device) : CPU, TypeOf(spec.Precision), options);
    }

    public static ScalarType TypeOf(string precision) => precision switch
    {
        "bf16" => ScalarType.BFloat16,
        "fp16" => ScalarType.Float16,
        _ => ScalarType.Float32,
    };

    internal static IEnumerable<string> Problems(RunSpec spec, (int Major, int Minor) capability, string device)
    {
        var card = $"{device} has compute capability {capability.Major}.{capability.Minor}";
        if (spec.Fp8 && capability.Major < CudaKernels.LeastFp8Capability) yield return $"fp8: {card}, and {NeedsHopper}";
        if (capability.Major >= Ampere) yield break;
        if (spec.Precision == "bf16") yield return $"precision: {card} and bf16 needs 8.0, got bf16; write fp16, or use another GPU.";
        if (spec.Attention == "flash") yield return $"attention: {card} and flash attention needs 8.0, got flash; write auto.";
    }
}
