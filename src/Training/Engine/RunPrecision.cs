using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Engine.Jobs;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What <c>precision: auto</c> comes to: bf16 where the device multiplies it in hardware (compute capability 8.0, AVX-512 BF16, AMX), fp16 on
/// older GPUs, float32 on other CPUs and for small models, whose products oneDNN leaves to a slow path.
/// </summary>
internal static class RunPrecision
{
    /// <returns>The spec with a precision of its own, which run.yaml then says.</returns>
    public static RunSpec Resolve(RunSpec spec, int? cudaDevice) => spec.Precision == "auto"
        ? spec with { Precision = cudaDevice is { } device ? OfCapability(Cuda.Capability(device).Major) : OfCpu(spec, CpuBf16.IsFast) }
        : spec;

    internal static string OfCapability(int major) => major >= RankCompute.Ampere ? "bf16" : "fp16";

    internal static string OfCpu(RunSpec spec, bool isBf16Fast) =>
        isBf16Fast && Phi3VConfig.Read(spec.Model.Path).HiddenSize >= JobPrecision.LeastHiddenSize ? "bf16" : "fp32";

    /// <summary>Each rank has chosen by its own device.</summary>
    /// <exception cref="InputException">They differ; the same on all ranks.</exception>
    public static void RequireAgreement(RunSpec spec, ICollective collective)
    {
        if (collective.WorldSize == 1) return;
        string[] chosen = [.. RankMessages.Exchange(collective, Encoding.UTF8.GetBytes(spec.Precision)).Select(Encoding.UTF8.GetString)];
        var other = Array.FindIndex(chosen, one => one != chosen[0]);
        if (other > 0)
            throw new InputException($"precision: auto is {chosen[0]} on rank 0 and {chosen[other]} on rank {other}, whose devices differ, got auto; "
                + "write one precision that both compute.");
    }
}
