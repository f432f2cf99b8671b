namespace Phi3VCluster.Training.Optim;

/// <summary>A part of the flat buffer that a rank owns, and where it stands among all it owns.</summary>
/// <param name="Flat">In the flat buffer.</param>
/// <param name="LocalOffset">In the rank's own buffers, which hold its pieces one behind the other.</param>
public readonly record struct ShardPiece(ShardRange Flat, long LocalOffset)
{
    /// <summary>Where a part of this piece stands in the rank's own buffers.</summary>
    public ShardRange Local(ShardRange part) => new(LocalOffset + part.Offset - Flat.Offset, part.Count);
}

/// <summary>
/// Who owns what of the flat buffer (ZeRO's partition): it is cut into buckets that are reduced and gathered one by one, and every rank
/// owns its <see cref="ShardRange.Of"/> of each bucket.
/// </summary>
public sealed class ShardLayout
{
    /// <param name="buckets">Tile the buffer, in order.</param>
    public ShardLayout(IReadOnlyList<ShardRange> buckets, int rank, int worldSize)
    {
        Buckets = buckets;
        var pieces = new List<ShardPiece>();
        foreach (var bucket in buckets)
        {
            var own = ShardRange.Of(bucket.Count, rank, worldSize);
            pieces.Add(new(own with { Offset = bucket.Offset + own.Offset }, OwnCount));
            OwnCount += own.Count;
        }
        Pieces = pieces;
    }

    /// <summary>Ranges of the flat buffer, in elements; together they are all of it.</summary>
    public IReadOnlyList<ShardRange> Buckets { get; }

    /// <summary>This rank's part of each bucket; some may be empty.</summary>
    public IReadOnlyList<ShardPiece> Pieces { get; }

    /// <summary>Elements this rank owns.</summary>
    public long OwnCount { get; }

    /// <summary>A rank that is in no generation owns nothing.</summary>
    public static ShardLayout None { get; } = new([], rank: 0, worldSize: 1);

    /// <summary>Every rank owns everything.</summary>
    public static ShardLayout Replicated(long count) => Whole(count, rank: 0, worldSize: 1);

    /// <summary>One bucket: everything is reduced at once.</summary>
    public static ShardLayout Whole(long count, int rank, int worldSize) => new([new(0, count)], rank, worldSize);
}
