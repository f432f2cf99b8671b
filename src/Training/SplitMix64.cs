using System.Text;

namespace Phi3VCluster.Training;

/// <summary>
/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). Ours, because what is drawn must be the same
/// for every .NET version, rank and restart: it decides which samples a step consumes.
/// </summary>
public struct SplitMix64(ulong state)
{
    private const ulong Increment = 0x9E3779B97F4A7C15;
    private const ulong FnvOffset = 0xCBF29CE484222325, FnvPrime = 0x100000001B3;

    private ulong _state = state;

    /// <summary>
    /// A generator for one purpose of one epoch, and one sample where <paramref name="sampleId"/> is given: its state is the 64-bit FNV-1a
    /// hash of "purpose/seed/epoch/sampleId" in UTF-8.
    /// </summary>
    public static SplitMix64 For(string purpose, int seed, int epoch, string sampleId = "")
    {
        var hash = FnvOffset;
        foreach (var one in Encoding.UTF8.GetBytes(FormattableString.Invariant($"{purpose}/{seed}/{epoch}/{sampleId}")))
            hash = (hash ^ one) * FnvPrime;
        return new(hash);
    }

    public ulong Next()
    {
        var z = _state += Increment;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Uniform in 0 … <paramref name="count"/> − 1, by the high half of a 128-bit product (bias below count / 2^64).</summary>
    public int Below(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        return (int)Math.BigMul(Next(), (ulong)count, out _);
    }

    /// <summary>Fisher–Yates, from the last element down.</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (var last = items.Length - 1; last > 0; last--)
        {
            var other = Below(last + 1);
            (items[last], items[other]) = (items[other], items[last]);
        }
    }
}
