using System.Runtime.Intrinsics;

namespace Phi3VCluster.Training.Collectives;

/// <summary>Elementwise sums of raw float32 memory, as wide as the machine's registers.</summary>
internal static unsafe class Float32Sum
{
    /// <summary>target[i] += addend[i].</summary>
    public static void Add(float* target, float* addend, long count)
    {
        long i = 0;
        for (; i <= count - 16; i += 16)
        {
            var low = Vector256.Load(target + i) + Vector256.Load(addend + i);
            var high = Vector256.Load(target + i + 8) + Vector256.Load(addend + i + 8);
            low.Store(target + i);
            high.Store(target + i + 8);
        }
        for (; i < count; i++) target[i] += addend[i];
    }
}
