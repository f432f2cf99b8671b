using System.Runtime.Intrinsics.X86;

namespace Phi3VCluster.Training.Native;

/// <summary>Whether this processor multiplies bf16 matrices in hardware: AVX-512 BF16 or AMX. Elsewhere bf16 is emulated.</summary>
public static class CpuBf16
{
    private const int ExtendedFeatures = 7, Avx512Bf16Bit = 1 << 5, AmxBf16Bit = 1 << 22;

    public static bool IsFast { get; } = Avx512F.IsSupported && Look();

    private static bool Look()
    {
        var (subLeaves, _, _, edx) = X86Base.CpuId(ExtendedFeatures, 0);
        return (edx & AmxBf16Bit) != 0 || (subLeaves >= 1 && (X86Base.CpuId(ExtendedFeatures, 1).Eax & Avx512Bf16Bit) != 0);
    }
}
