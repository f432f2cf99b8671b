using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native.Blocked;

// Shapes: N sequences, H heads, L positions, S head size; G heads, R queries and K keys of the block.

/// <summary>Some heads' and queries' part of one sequence's scores, small enough to stay in the caches with what is made of it.</summary>
/// <param name="KeyCount">The first keys, as far as the last of these queries sees.</param>
/// <param name="Causal">A query sees the keys up to its own position, else all.</param>
internal sealed record AttentionBlock(
    int Sequence, int FirstHead, int HeadCount, int FirstQuery, int QueryCount, int KeyCount, bool Causal, int AllHeads, int Length)
{
    private const int MostQueries = 256, MostScores = 1 << 21; // 4 MiB

    /// <summary>[G, R] of it.</summary>
    public int RowCount => HeadCount * QueryCount;

    /// <summary>All blocks, by heads: what is written for one list's heads is written for no other's.</summary>
    /// <param name="shape_NHLS">Of q.</param>
    /// <param name="threads">So many lists are worked on at a time.</param>
    public static IReadOnlyList<IReadOnlyList<AttentionBlock>> ByHeads(long[] shape_NHLS, bool causal, int threads)
    {
        var (batch, heads, length) = ((int)shape_NHLS[0], (int)shape_NHLS[1], (int)shape_NHLS[2]);
        var queries = Share(length, Share(length, MostQueries)); // of about equal size
        var most = (int)Math.Clamp(MostScores / ((long)queries * length), 1, heads);
        var parts = Share(Share(heads, most) * batch, threads) * threads; // as many for each thread
        var together = Share(heads, Share(parts, batch));
        return
        [
            .. from sequence in Enumerable.Range(0, batch)
               from part in Enumerable.Range(0, Share(heads, together))
               let first = part * together
               select Of(sequence, first, Math.Min(together, heads - first)),
        ];

        List<AttentionBlock> Of(int sequence, int head, int count)
        {
            var blocks = new List<AttentionBlock>();
            for (var query = 0; query < length; query += queries)
            {
                var end = Math.Min(query + queries, length);
                blocks.Add(new(sequence, head, count, query, end - query, causal ? end : length, causal, heads, length));
            }
            return blocks;
        }
    }

    /// <summary>The keys that a query of the block sees are the first ones.</summary>
    public int KeysSeenBy(int row) => Causal ? FirstQuery + row % QueryCount + 1 : KeyCount;

    /// <summary>Where a row of the block is in [N, H, L].</summary>
    public long RowOfAll(int row) => FirstRowOf(row / QueryCount) + FirstQuery + row % QueryCount;

    /// <summary>Where a head of the block begins in [N, H, L].</summary>
    public long FirstRowOf(int head) => ((long)Sequence * AllHeads + FirstHead + head) * Length;

    /// <returns>[G, R, S], a view.</returns>
    public Tensor Queries(Tensor x_NHLS) => x_NHLS.select(0, Sequence).narrow(0, FirstHead, HeadCount).narrow(1, FirstQuery, QueryCount);

    /// <returns>[G, K, S], a view.</returns>
    public Tensor Keys(Tensor x_NHLS) => x_NHLS.select(0, Sequence).narrow(0, FirstHead, HeadCount).narrow(1, 0, KeyCount);

    private static int Share(int whole, int parts) => (whole + parts - 1) / parts;
}
