using Phi3VCluster.Training.Model.Quantization;

namespace Phi3VCluster.Training.Tests.Model.Quantization;

/// <summary>NF4 as one would define it, a number at a time.</summary>
internal static class PlainNf4
{
    private const float SmallestDivisor = 1e-38f;

    public static (int[] Codes, float[] Absmax) Quantize(float[] numbers)
    {
        var (codes, absmax) = (new List<int>(), new List<float>());
        foreach (var block in numbers.Chunk(64))
        {
            var largest = block.Max(MathF.Abs);
            var divisor = Math.Max(largest, SmallestDivisor);
            var isWhole = block.Length == 64;
            absmax.Add(isWhole ? largest : divisor);
            codes.AddRange(block.Select(number => Nearest(isWhole ? number * (1 / divisor) : number / divisor)));
        }
        return ([.. codes], [.. absmax]);
    }

    public static float[] Dequantize(int[] codes, float[] absmax) =>
        [.. codes.Select((code, i) => Nf4Codebook.Values[code] * absmax[i / 64])];

    public static byte[] Pack(int[] codes) =>
        [.. codes.Chunk(2).Select(pair => (byte)(pair[0] << 4 | pair.ElementAtOrDefault(1, Nf4Codebook.Zero)))];

    private static int Nearest(float value)
    {
        var code = 0;
        while (code < 15 && value > (Nf4Codebook.Values[code] + Nf4Codebook.Values[code + 1]) / 2) code++;
        return code;
    }

    private static int ElementAtOrDefault(this int[] pair, int index, int otherwise) => index < pair.Length ? pair[index] : otherwise;
}
