using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// Whether this processor multiplies bf16 matrices faster than float32 ones. Without AVX-512 BF16 or AMX they are emulated, many times
/// slower; that a processor has the instructions says little: one with AVX-512 BF16 took half of float32's time, another, a Xeon whose
/// AMX its virtual machine hides, twice that. So a product is timed where the instructions are, once in a process.
/// </summary>
public static partial class CpuBf16
{
    /// <summary>What bf16 must gain to be worth its rounding. Processors are far from it, on either side.</summary>
    private const double LeastGain = 1.2;

    private const int ThreadCpuTime = 3; // CLOCK_THREAD_CPUTIME_ID
    private const int Turns = 5, Rows = 256, Width = 1024; // half a GFLOP: some 5 ms
    private const int ExtendedFeatures = 7, Avx512Bf16Bit = 1 << 5, AmxBf16Bit = 1 << 22;
    private const int FirstLettersOfAmd = 0x68747541; // "Auth" of "AuthenticAMD"

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

    /// <summary>
    /// Whether MKL, which libtorch's fused attention multiplies with on CPUs, turns bf16 into float32 first although there are
    /// instructions: it looks for Intel's processors, oneDNN, which does all other products, for the instructions themselves.
    /// </summary>
    public static bool IsEmulatedByMkl { get; } = HasUnits && X86Base.CpuId(0, 0).Ebx == FirstLettersOfAmd;

    /// <returns>
    /// Float32's time as a multiple of bf16's: of the processor, on one thread, the best of some turns each. What else the machine does
    /// must not decide it: ranks of one run would come to different answers.
    /// </returns>
    internal static double Gain()
    {
        var threads = get_num_threads();
        set_num_threads(1); // of this thread; the clock knows of no other's time
        try
        {
            return GainOfOneThread();
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    private static double GainOfOneThread()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (rows, weight) = (ones(Rows, Width), ones(Width, Width));
        var (halfRows, halfWeight) = (rows.to(bfloat16), weight.to(bfloat16));
        var (single, half) = (double.MaxValue, double.MaxValue);
        for (var turn = 0; turn < Turns; turn++)
        {
            single = Math.Min(single, Seconds(rows, weight));
            half = Math.Min(half, Seconds(halfRows, halfWeight));
        }
        return single / half;
    }

    private static double Seconds(Tensor rows, Tensor weight)
    {
        var began = Now();
        rows.matmul(weight).Dispose();
        return Now() - began;
    }

    private static double Now()
    {
        _ = ClockGetTime(ThreadCpuTime, out var time); // cannot fail: the clock is there
        return time.Seconds + (time.Nanoseconds * 1e-9);
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int ClockGetTime(int clock, out TimeSpec time);

    private readonly struct TimeSpec
    {
        public readonly long Seconds, Nanoseconds;
    }
}
