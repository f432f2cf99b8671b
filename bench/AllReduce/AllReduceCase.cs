namespace Phi3VCluster.Bench.AllReduce;

/// <summary>One buffer size, and how often it is reduced. Workers and the peer's script get the same list.</summary>
internal sealed record AllReduceCase(string Label, long Bytes, int WarmUps, int Repetitions)
{
    public static readonly AllReduceCase[] All =
    [
        new("4 KiB", 4L << 10, 100, 1001),
        new("1 MiB", 1L << 20, 20, 101),
        new("64 MiB", 64L << 20, 3, 15),
        new("512 MiB", 512L << 20, 1, 5),
    ];

    /// <summary>Bytes that any all-reduce of n ranks must move through each rank's link, per second (gloo's definition).</summary>
    public double BusGibPerSecond(int ranks, double seconds) => 2.0 * (ranks - 1) / ranks * Bytes / seconds / (1L << 30);
}
