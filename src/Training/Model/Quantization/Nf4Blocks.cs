using System.Runtime.Intrinsics;

namespace Phi3VCluster.Training.Model.Quantization;

/// <summary>
/// Blocks of 64 numbers in raw memory, to NF4 and back: each block is divided by its largest magnitude, its codes lie two to a byte, the
/// first in the high four bits. The rounding of every single step is bitsandbytes', so that both give the same bits.
/// </summary>
internal static unsafe class Nf4Blocks
{
    public const int Size = 64, Bytes = Size / 2;

    /// <summary>Below it a block is not divided by its magnitude, whose reciprocal could overflow.</summary>
    private const float SmallestDivisor = 1e-38f;

    public static long Count(long numbers) => (numbers + Size - 1) / Size;

    /// <param name="values">The numbers.</param>
    /// <param name="packed">Receives a byte for two of them.</param>
    /// <param name="absmax">Receives the largest magnitude of each block.</param>
    public static void Quantize(float* values, long count, byte* packed, float* absmax)
    {
        for (; count >= Size; count -= Size, values += Size, packed += Bytes, absmax++)
        {
            *absmax = LargestMagnitude(values);
            Pack(values, 1 / MathF.Max(*absmax, SmallestDivisor)).Store(packed);
        }
        if (count > 0) QuantizeRest(new(values, (int)count), packed, absmax);
    }

    /// <summary>A last block that is not full: here bitsandbytes divides instead of multiplying, and stores the divisor.</summary>
    private static void QuantizeRest(ReadOnlySpan<float> values, byte* packed, float* absmax)
    {
        var padded = stackalloc float[Size];
        values.CopyTo(new(padded, Size));
        *absmax = MathF.Max(LargestMagnitude(padded), SmallestDivisor);
        for (var i = 0; i < values.Length; i++) padded[i] /= *absmax;
        var codes = Pack(padded, 1);
        new ReadOnlySpan<byte>(&codes, (values.Length + 1) / 2).CopyTo(new(packed, Bytes));
    }

    /// <param name="packed">A byte for two numbers.</param>
    /// <param name="scales">A factor for each block.</param>
    /// <param name="values">Receives the numbers.</param>
    public static void Dequantize(byte* packed, float* scales, float* values, long count)
    {
        fixed (float* pairs = Nf4Codebook.Pairs)
        {
            for (; count >= Size; count -= Size, packed += Bytes, values += Size) DequantizeBlock(packed, *scales++, values, (ulong*)pairs);
            for (var i = 0; i < count; i++) values[i] = pairs[2 * packed[i / 2] + i % 2] * *scales;
        }
    }

    private static void DequantizeBlock(byte* packed, float scale, float* values, ulong* pairs)
    {
        var factor = Vector256.Create(scale);
        for (var i = 0; i < Bytes; i += 4)
        {
            var four = *(uint*)(packed + i);
            var numbers = Vector256.Create(pairs[(byte)four], pairs[(byte)(four >> 8)], pairs[(byte)(four >> 16)], pairs[four >> 24]);
            (numbers.AsSingle() * factor).Store(values + 2 * i);
        }
    }

    /// <summary>Magnitudes compare like the integers of the same bits, and what is no number is above all of them.</summary>
    private static float LargestMagnitude(float* values)
    {
        var magnitude = Vector256.Create(int.MaxValue);
        var largest = Vector256<int>.Zero;
        for (var i = 0; i < Size; i += Vector256<int>.Count)
            largest = Vector256.Max(largest, Vector256.Load((int*)values + i) & magnitude);
        var bits = 0;
        for (var i = 0; i < Vector256<int>.Count; i++) bits = Math.Max(bits, largest[i]);
        return BitConverter.Int32BitsToSingle(bits);
    }

    private static Vector256<byte> Pack(float* values, float factor) => Vector256.Narrow(
        Vector256.Narrow(PackQuarter(values, factor), PackQuarter(values + Size / 4, factor)),
        Vector256.Narrow(PackQuarter(values + Size / 2, factor), PackQuarter(values + Size * 3 / 4, factor)));

    /// <summary>16 numbers to a byte in each of 8 places.</summary>
    private static Vector256<uint> PackQuarter(float* values, float factor)
    {
        return Vector256.Narrow(Join(Nf4Codebook.Nearest(Vector256.Load(values) * factor)),
            Join(Nf4Codebook.Nearest(Vector256.Load(values + 8) * factor)));

        static Vector256<ulong> Join(Vector256<int> codes) => codes.AsUInt64() << 4 | codes.AsUInt64() >> 32;
    }
}
