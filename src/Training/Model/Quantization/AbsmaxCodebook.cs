namespace Phi3VCluster.Training.Model.Quantization;

/// <summary>
/// Double quantisation: the blocks' magnitudes, less their mean, in 8 bits, in blocks of 256. A code has a sign, a decimal exponent from
/// -6 to 0 and the more fraction bits the larger that is (dynamic tree quantisation: Dettmers, 2015). bitsandbytes' arithmetic to the bit.
/// </summary>
internal static class AbsmaxCodebook
{
    /// <summary>Numbers that share a magnitude.</summary>
    public const int BlockSize = 256;

    /// <summary>bitsandbytes finds codes in a table of as many equal steps from -1 to 1, so that it misses the nearest near zero.</summary>
    private const int Steps = 65535;

    /// <summary>What the 256 codes stand for, ascending.</summary>
    public static float[] Values { get; } = [.. Build().Order()];

    private static readonly byte[] Nearest = BuildNearest();

    /// <summary>Blocks that so many numbers take; the last may be shorter.</summary>
    public static long Blocks(long numbers) => (numbers + BlockSize - 1) / BlockSize;

    /// <param name="values">The numbers.</param>
    /// <param name="codes">Receives a byte for each.</param>
    /// <param name="absmax">Receives the largest magnitude of each block.</param>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> codes, Span<float> absmax)
    {
        for (var block = 0; values.Length > 0; block++)
        {
            var count = Math.Min(BlockSize, values.Length);
            absmax[block] = QuantizeBlock(values[..count], codes);
            values = values[count..];
            codes = codes[count..];
        }
    }

    private static float QuantizeBlock(ReadOnlySpan<float> values, Span<byte> codes)
    {
        var largest = 0f;
        foreach (var value in values) largest = MathF.Max(largest, MathF.Abs(value));
        for (var i = 0; i < values.Length; i++)
            codes[i] = largest == 0 ? (byte)0 : Nearest[Step(Math.Clamp(values[i] * (1 / largest), -1, 1))];
        return largest;
    }

    private static int Step(float value) => (int)MathF.FusedMultiplyAdd((value + 1) * 0.5f, Steps, 0.5f);

    /// <summary>The code of each step; in the middle between two, the lower.</summary>
    private static byte[] BuildNearest()
    {
        var nearest = new byte[Steps + 1];
        var code = 0;
        for (var step = 0; step <= Steps; step++)
        {
            while (code < Values.Length - 1 && (Values[code] + Values[code + 1]) / 2 < -1 + 2f * step / Steps) code++;
            nearest[step] = (byte)code;
        }
        return nearest;
    }

    private static IEnumerable<float> Build()
    {
        float[] powers = [1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1];
        for (var exponent = 0; exponent < powers.Length; exponent++)
        {
            var parts = 1 << exponent;
            for (var i = 0; i < parts; i++)
            {
                var middle = (Fraction(i, parts) + Fraction(i + 1, parts)) / 2 * powers[exponent];
                yield return middle;
                yield return -middle;
            }
        }
        yield return 0;
        yield return 1;
    }

    /// <summary>Border i between equal parts of 0.1 to 1, counted from the nearer end like torch's linspace.</summary>
    private static float Fraction(int i, int parts)
    {
        var part = (1 - 0.1f) / parts;
        return i < (parts + 1) / 2 ? MathF.FusedMultiplyAdd(part, i, 0.1f) : MathF.FusedMultiplyAdd(-part, parts - i, 1);
    }
}
