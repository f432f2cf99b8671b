namespace Phi3VCluster.Training;

/// <summary>A contiguous part of a flat buffer, in elements.</summary>
public readonly record struct ShardRange(long Offset, long Count)
{
    public long End => Offset + Count;

    /// <summary>
    /// The part of <paramref name="total"/> elements that <paramref name="rank"/> owns; the remainder goes to the lowest ranks.
    /// </summary>
    public static ShardRange Of(long total, int rank, int worldSize)
    {
        var (each, extra) = Math.DivRem(total, worldSize);
        return new(rank * each + Math.Min(rank, extra), each + (rank < extra ? 1 : 0));
    }
}
