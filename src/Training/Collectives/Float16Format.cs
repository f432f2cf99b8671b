namespace Phi3VCluster.Training.Collectives;

/// <summary>IEEE binary16: 11 bits of precision from 6e-5 to 65504.</summary>
internal sealed unsafe class Float16Format : IHalfFormat
{
    public void Round(float* from, ushort* to, long count)
    {
        for (long i = 0; i < count; i++) to[i] = BitConverter.HalfToUInt16Bits((Half)from[i]);
    }

    public void Widen(ushort* from, float* to, long count)
    {
        for (long i = 0; i < count; i++) to[i] = (float)BitConverter.UInt16BitsToHalf(from[i]);
    }
}
