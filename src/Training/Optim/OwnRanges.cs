namespace Phi3VCluster.Training.Optim;

/// <summary>A part of one of a rank's pieces.</summary>
/// <param name="Flat">In the flat buffer.</param>
public readonly record struct OwnRange(ShardPiece Piece, ShardRange Flat)
{
    /// <summary>In the rank's own buffers.</summary>
    public ShardRange Local => Piece.Local(Flat);
}

/// <summary>Cuts a rank's shard by what its tensors have in common: few large ranges make few fast kernels.</summary>
internal static class OwnRanges
{
    /// <param name="wanted">Which tensors.</param>
    /// <param name="merged">Whether neighbours become one range, which then bears the first one's entry.</param>
    /// <returns>Ascending; merged ones never touch within a piece.</returns>
    public static IReadOnlyList<(FlatEntry First, OwnRange Range)> Of(
        FlatParameters parameters, ShardLayout layout, Predicate<FlatEntry> wanted, bool merged)
    {
        var ranges = new List<(FlatEntry First, OwnRange Range)>();
        var next = 0; // pieces and tensors are both in order
        foreach (var piece in layout.Pieces)
        {
            while (next > 0 && parameters.Slice(parameters.Entries[next - 1].Tensor.Name).End > piece.Flat.Offset) next--;
            for (; next < parameters.Entries.Count; next++)
            {
                var entry = parameters.Entries[next];
                var slice = parameters.Slice(entry.Tensor.Name);
                if (slice.Offset >= piece.Flat.End) break;
                var (start, end) = (Math.Max(slice.Offset, piece.Flat.Offset), Math.Min(slice.End, piece.Flat.End));
                if (!wanted(entry) || start >= end) continue;
                if (merged && ranges.Count > 0 && ranges[^1] is var (first, last) && last.Piece == piece && last.Flat.End == start)
                    ranges[^1] = (first, last with { Flat = last.Flat with { Count = end - last.Flat.Offset } });
                else ranges.Add((entry, new(piece, new(start, end - start))));
            }
        }
        return ranges;
    }
}
