using Phi3VCluster.Training.Collectives;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>Bytes of any length from every rank to every rank, over the tensor collective.</summary>
internal static class RankMessages
{
    private const int DigitBits = 16; // a float32 holds whole numbers up to 2^24, and a sum of one such and zeros

    /// <summary>The largest of the ranks' numbers, which are not negative.</summary>
    public static int Largest(ICollective collective, int number) => Numbers(collective, number).Max();

    /// <returns>Each rank's message, by rank.</returns>
    public static IReadOnlyList<byte[]> Exchange(ICollective collective, byte[] message)
    {
        var lengths = Numbers(collective, message.Length);
        var slot = lengths.Max(); // equal slots, so that every rank's part is its own slot
        using var slots = zeros((long)slot * collective.WorldSize, dtype: ScalarType.Byte);
        using (var own = Slot(collective.Rank)) message.CopyTo(own.bytes);
        collective.AllGather(slots);
        return [.. lengths.Select(Read)];

        Tensor Slot(int rank) => slots.narrow(0, (long)slot * rank, slot);

        byte[] Read(int length, int rank)
        {
            using var one = Slot(rank);
            return one.bytes[..length].ToArray();
        }
    }

    /// <summary>Each rank's number, by rank, to the last digit: in two halves, for the collective sums float32.</summary>
    public static int[] Numbers(ICollective collective, int number)
    {
        var (ranks, halves) = (collective.WorldSize, new float[2 * collective.WorldSize]);
        (halves[collective.Rank], halves[ranks + collective.Rank]) = (number & ((1 << DigitBits) - 1), number >> DigitBits);
        using var shared = tensor(halves);
        collective.AllReduce(shared);
        halves = shared.data<float>().ToArray();
        return [.. Enumerable.Range(0, ranks).Select(rank => (int)halves[rank] | (int)halves[ranks + rank] << DigitBits)];
    }
}
