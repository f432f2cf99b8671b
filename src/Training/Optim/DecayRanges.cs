namespace Phi3VCluster.Training.Optim;

/// <summary>Cuts a shard where weight decay changes, and only there: few large ranges make few fast kernels.</summary>
internal static class DecayRanges
{
    /// <param name="entries">All tensors of the flat buffer, in order.</param>
    /// <param name="shard">Part of the flat buffer.</param>
    /// <param name="decays">Which of the two groups is wanted.</param>
    /// <returns>Positions in the flat buffer, ascending, with no two touching each other.</returns>
    public static IReadOnlyList<ShardRange> Of(IReadOnlyList<FlatEntry> entries, ShardRange shard, bool decays)
    {
        var ranges = new List<ShardRange>();
        long offset = 0;
        foreach (var entry in entries)
        {
            var (start, end) = (Math.Max(offset, shard.Offset), Math.Min(offset + entry.Tensor.ElementCount, shard.End));
            offset += entry.Tensor.ElementCount;
            if (entry.Decays != decays || start >= end) continue;
            if (ranges.Count > 0 && ranges[^1].End == start) ranges[^1] = ranges[^1] with { Count = end - ranges[^1].Offset };
            else ranges.Add(new(start, end - start));
        }
        return ranges;
    }
}
