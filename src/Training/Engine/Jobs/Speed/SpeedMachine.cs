using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Spec.Recipes;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>What rows of the speed table this process can run.</summary>
/// <param name="Device">"cpu", or "cuda" with the first card's name.</param>
/// <param name="Bytes">That a rank may fill.</param>
internal sealed record SpeedMachine(string Device, int Gpus, bool IsAmpere, double Bytes)
{
    public ModelSizes Model { get; init; } = Gpus > 0 ? ModelSizes.Released : SpeedTable.CpuModel;

    public string Precision => Gpus == 0 ? "fp32" : IsAmpere ? "bf16" : "fp16";

    public static SpeedMachine Here() => Cuda.DeviceCount is var gpus and > 0
        ? new($"cuda {Cuda.Name(0)}", gpus, Cuda.Capability(0).Major >= RankCompute.Ampere, Cuda.Memory(0).Total)
        : new("cpu", 0, false, HostMemory.Available);

    /// <returns>Why a row cannot be run here whatever its memory; null where it can.</returns>
    public string? Lack(SpeedRow row)
    {
        if (row.Gpus > Gpus) return $"needs {row.Gpus} GPUs, this machine has {(Gpus == 0 ? "none" : $"{Gpus}")}";
        return row.HasFlash && !IsAmpere ? $"flash attention needs compute capability 8.0, {Device["cuda ".Length..]} has less" : null;
    }
}
