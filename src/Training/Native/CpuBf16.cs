using System.Diagnostics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// Whether this processor multiplies bf16 matrices faster than float32 ones. Without AVX-512 BF16 or AMX they are emulated, many times
/// slower; that a processor has the instructions says little: one with AVX-512 BF16 took half of float32's time, another, a Xeon whose
/// AMX its virtual machine hides, twice that. So a product is timed where the instructions are, once in a process.
/// </summary>
public static class CpuBf16
{
    /// <summary>What bf16 must gain to be worth its rounding. Processors are far from it, on either side.</summary>
    private const double LeastGain = 1.2;

    private const int Turns = 5, Rows = 256, Width = 1024; // half a GFLOP: some 5 ms
    private const int ExtendedFeatures = 7, Avx512Bf16Bit = 1 << 5, AmxBf16Bit = 1 << 22;

    private static readonly Lazy<bool> Measured = new(() => HasUnits && Gain() >= LeastGain);

    public static bool IsFast => Measured.Value;

    /// <summary>Whether it has instructions for them.</summary>
    public static bool HasUnits
    {
        get
        {
            if (!Avx512F.IsSupported) return false;
            var (subLeaves, _, _, edx) = X86Base.CpuId(ExtendedFeatures, 0);
            return (edx & AmxBf16Bit) != 0 || (subLeaves >= 1 && (X86Base.CpuId(ExtendedFeatures, 1).Eax & Avx512Bf16Bit) != 0);
        }
    }

    /// <returns>Float32's time as a multiple of bf16's: the best of some turns each, so that other load hits both or neither.</returns>
    internal static double Gain()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (rows, weight) = (ones(Rows, Width), ones(Width, Width));
        var (halfRows, halfWeight) = (rows.to(bfloat16), weight.to(bfloat16));
        var (single, half) = (TimeSpan.MaxValue, TimeSpan.MaxValue);
        for (var turn = 0; turn < Turns; turn++)
        {
            single = Shorter(single, rows, weight);
            half = Shorter(half, halfRows, halfWeight);
        }
        return single / half;
    }

    private static TimeSpan Shorter(TimeSpan best, Tensor rows, Tensor weight)
    {
        var started = Stopwatch.GetTimestamp();
        rows.matmul(weight).Dispose();
        var took = Stopwatch.GetElapsedTime(started);
        return took < best ? took : best;
    }
}
