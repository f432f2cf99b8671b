using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine.Jobs;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What <c>precision: auto</c> comes to: bf16 where the device multiplies it faster (compute capability 8.0, <see cref="CpuBf16"/>), fp16
/// on older GPUs, float32 on other CPUs and for small models, whose products oneDNN leaves to a slow path.
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
}
