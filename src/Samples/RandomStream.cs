using System.Text;

namespace Phi3VCluster.Samples;

/// <summary>
/// Random numbers that are the same on every platform and .NET version: SplitMix64 (Steele, Lea, Flood 2014), and normal numbers
/// made of integer sums, because logarithms and cosines differ in their last bit between C libraries.
/// </summary>
/// <param name="seed">The user's seed.</param>
/// <param name="purpose">What the numbers are for; streams of one seed with different purposes are independent.</param>
internal sealed class RandomStream(int seed, string purpose)
{
    private ulong _state = Mix((ulong)(uint)seed) ^ HashOf(purpose);

    public ulong Next() => Mix(_state += 0x9E3779B97F4A7C15);

    /// <summary>0 ≤ result &lt; <paramref name="limit"/>, every value equally likely to within 2⁻³².</summary>
    public int Below(int limit) => (int)((Next() >> 32) * (ulong)limit >> 32);

    public T Pick<T>(IReadOnlyList<T> items) => items[Below(items.Count)];

    /// <summary>A new order, every one equally likely (Fisher-Yates).</summary>
    public T[] Shuffled<T>(IEnumerable<T> items)
    {
        var order = items.ToArray();
        for (var last = order.Length - 1; last > 0; last--)
        {
            var other = Below(last + 1);
            (order[last], order[other]) = (order[other], order[last]);
        }
        return order;
    }

    /// <summary>
    /// Mean 0, variance 1 to within 10⁻⁹: the sum of twelve uniform 16-bit integers, each of variance (2³² − 1)/12. Its tails end at
    /// ±6, which initial weights do not mind.
    /// </summary>
    public double Normal()
    {
        const double meanOfTwelve = 12 * (65535 / 2.0);
        long sum = 0;
        for (var i = 0; i < 3; i++)
        {
            var four = Next();
            sum += (long)((four & 0xFFFF) + (four >> 16 & 0xFFFF) + (four >> 32 & 0xFFFF) + (four >> 48));
        }
        return (sum - meanOfTwelve) / 65536;
    }

    private static ulong Mix(ulong z)
    {
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        return z ^ z >> 31;
    }

    /// <summary>FNV-1a; string.GetHashCode differs from process to process.</summary>
    private static ulong HashOf(string text) =>
        Encoding.UTF8.GetBytes(text).Aggregate(0xCBF29CE484222325, (hash, one) => (hash ^ one) * 0x100000001B3);
}
