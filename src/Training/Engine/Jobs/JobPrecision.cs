using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>What a model that is asked computes in.</summary>
internal static class JobPrecision
{
    /// <summary>Below it oneDNN leaves bf16 products to a slow path, and memory is no matter.</summary>
    public const int LeastHiddenSize = 1024;

    /// <param name="asked">fp32, bf16, fp16 or auto: bf16 for a large model that is stored so, where it is computed fast.</param>
    public static string Of(string asked, BaseCheckpoint checkpoint) => asked != "auto" ? asked : Auto(checkpoint, CpuBf16.IsFast);

    internal static string Auto(BaseCheckpoint checkpoint, bool isBf16Fast) =>
        isBf16Fast && checkpoint.Config.HiddenSize >= LeastHiddenSize && IsBf16(checkpoint) ? "bf16" : "fp32";

    /// <summary>By what most of it is: the decoder's maps.</summary>
    private static bool IsBf16(BaseCheckpoint checkpoint) => checkpoint.Used
        .Where(WeightRules.IsAdapted).All(weight => checkpoint.Files.Type(weight.Name) == ScalarType.BFloat16);
}
