using System.Runtime.Intrinsics;

namespace Phi3VCluster.Training.Collectives;

/// <summary>float32's upper half: its range, with 8 bits of precision.</summary>
internal sealed unsafe class BFloat16Format : IHalfFormat
{
    public void Round(float* from, ushort* to, long count)
    {
        long i = 0;
        for (; i <= count - 16; i += 16)
            Vector256.Narrow(Rounded(Vector256.Load(from + i)), Rounded(Vector256.Load(from + i + 8))).Store(to + i);
        for (; i < count; i++) to[i] = (ushort)Rounded(Vector256.Create(from[i]))[0];
    }

    public void Widen(ushort* from, float* to, long count)
    {
        long i = 0;
        for (; i <= count - 16; i += 16)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(from + i));
            (low << 16).AsSingle().Store(to + i);
            (high << 16).AsSingle().Store(to + i + 8);
        }
        for (; i < count; i++) to[i] = BitConverter.UInt32BitsToSingle((uint)from[i] << 16);
    }

    /// <summary>In the lower halves.</summary>
    private static Vector256<uint> Rounded(Vector256<float> values)
    {
        var bits = values.AsUInt32();
        var rounded = (bits + Vector256.Create(0x7FFFu) + ((bits >> 16) & Vector256<uint>.One)) >> 16;
        var quiet = (bits >> 16) | Vector256.Create(0x40u); // a NaN whose lower half alone said so would round to infinity
        return Vector256.ConditionalSelect(Vector256.Equals(values, values).AsUInt32(), rounded, quiet);
    }
}
