using System.Runtime.Intrinsics;

namespace Phi3VCluster.Training.Model.Quantization;

/// <summary>
/// The 16 values of NF4 (Dettmers and others, 2023): quantiles of the normal distribution scaled to [-1, 1], one of them exactly zero.
/// A number is stored as the nearest of them; in the middle between two, as the lower.
/// </summary>
internal static class Nf4Codebook
{
    /// <summary>The code of zero, which also fills the unused half of a last byte.</summary>
    public const int Zero = 7;

    private static readonly float[] Middles = [.. Values[..^1].ToArray().Zip(Values[1..].ToArray(), (lower, upper) => (lower + upper) / 2)];

    // The middles as a search tree: a level's node n has the children 2n and 2n + 1 of the next.
    private static readonly Vector256<float> Second = Level([3, 11]), Third = Level([1, 5, 9, 13]);
    private static readonly Vector256<float> Fourth = Level([0, 2, 4, 6, 8, 10, 12, 14]);

    public static ReadOnlySpan<float> Values =>
    [
        -1, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
        -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0,
        0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
        0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1,
    ];

    /// <summary>What a byte stands for, all 256 of them: the value of its high four bits, then that of its low ones.</summary>
    public static float[] Pairs { get; } =
        [.. Enumerable.Range(0, 256).SelectMany(pair => (float[])[Values[pair >> 4], Values[pair & 15]])];

    /// <summary>The codes of eight numbers, by binary search. What is no number gets the highest.</summary>
    public static Vector256<int> Nearest(Vector256<float> x)
    {
        var node = Vector256<int>.One + Below(Vector256.Create(Middles[7]), x);
        node = node + node + Vector256<int>.One + Below(Vector256.ShuffleNative(Second, node), x);
        node = node + node + Vector256<int>.One + Below(Vector256.ShuffleNative(Third, node), x);
        return node + node + Vector256<int>.One + Below(Vector256.ShuffleNative(Fourth, node), x);
    }

    /// <summary>-1 where x is not above the middle.</summary>
    private static Vector256<int> Below(Vector256<float> middle, Vector256<float> x) => Vector256.GreaterThanOrEqual(middle, x).AsInt32();

    private static Vector256<float> Level(int[] nodes) =>
        Vector256.Create(Enumerable.Range(0, Vector256<float>.Count).Select(i => Middles[nodes[i % nodes.Length]]).ToArray());
}
