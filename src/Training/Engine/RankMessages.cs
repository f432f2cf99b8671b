using Phi3VCluster.Training.Collectives;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>Bytes of any length from every rank to every rank, over the tensor collective.</summary>
internal static class RankMessages
{
    /// <summary>The largest of the ranks' numbers, exact up to 2^24.</summary>
    public static int Largest(ICollective collective, int number)
    {
        var slots = new float[collective.WorldSize];
        slots[collective.Rank] = number;
        using var shared = tensor(slots);
        collective.AllReduce(shared);
        return (int)shared.data<float>().ToArray().Max();
    }

    /// <returns>Each rank's message, by rank.</returns>
    public static IReadOnlyList<byte[]> Exchange(ICollective collective, byte[] message)
    {
        var lengths = new float[collective.WorldSize];
        lengths[collective.Rank] = message.Length; // exact up to 16 MB
        using var shared = tensor(lengths);
        collective.AllReduce(shared);
        lengths = shared.data<float>().ToArray();

        var slot = (int)lengths.Max(); // equal slots, so that every rank's part is its own slot
        using var slots = zeros((long)slot * collective.WorldSize, dtype: ScalarType.Byte);
        message.CopyTo(slots.bytes[(slot * collective.Rank)..]);
        collective.AllGather(slots);
        var bytes = slots.bytes.ToArray();
        return [.. lengths.Select((length, rank) => bytes.AsSpan(slot * rank, (int)length).ToArray())];
    }
}
