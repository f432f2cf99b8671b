using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native.Blocked;

// Shapes: N sequences, H heads, L positions, S head size; G heads, R queries and K keys of the block.

/// <summary>
/// What attention does between a block's products, in place and row by row, on this thread: libtorch's softmax alone takes half as long as
/// the products do. All tensors are contiguous; scores and parts are bf16, sums float32.
/// </summary>
internal static unsafe class ScoreRows
{
    /// <summary>Scores become e^(scale·score − scale·the row's largest), and 0 for keys that the row does not see.</summary>
    /// <param name="sums_NHL">Receives each row's sum.</param>
    /// <param name="logSums_NHL">Receives log Σ e^(scale·score).</param>
    public static void Exponentiate(AttentionBlock block, Tensor scores_GRK, double scale, Tensor sums_NHL, Tensor logSums_NHL)
    {
        ushort* score = Halves(scores_GRK);
        float* sums = Singles(sums_NHL), logSums = Singles(logSums_NHL);
        for (var row = 0; row < block.RowCount; row++, score += block.KeyCount)
        {
            var (seen, place) = (block.KeysSeenBy(row), block.RowOfAll(row));
            var largest = (float)scale * Bf16Row.Largest(score, seen);
            sums[place] = Bf16Row.Exponentiate(score, seen, (float)scale, largest);
            logSums[place] = largest + MathF.Log(sums[place]);
            Clear(score, seen, block.KeyCount);
        }
    }

    /// <summary>Puts a part of the output, divided by its rows' sums, where it belongs.</summary>
    public static void Divide(AttentionBlock block, Tensor part_GRS, Tensor sums_NHL, Tensor y_NLHS)
    {
        var size = (int)part_GRS.shape[2];
        ushort* part = Halves(part_GRS), y = Halves(y_NLHS);
        var sums = Singles(sums_NHL);
        for (var row = 0; row < block.RowCount; row++, part += size)
        {
            var (head, query) = (block.FirstHead + row / block.QueryCount, block.FirstQuery + row % block.QueryCount);
            var place = ((long)block.Sequence * block.Length + query) * block.AllHeads + head;
            Bf16Row.Scale(part, 1 / sums[block.RowOfAll(row)], y + (place * size), size);
        }
    }

    /// <summary>
    /// Scores become weights p, and the weights' gradients those of the scores, scale·p·(dp − Σ p·dp); both 0 for keys that the row does
    /// not see.
    /// </summary>
    /// <param name="logSums_NHL">As forward has left it.</param>
    public static void Back(AttentionBlock block, Tensor scores_GRK, Tensor gradients_GRK, double scale, Tensor logSums_NHL)
    {
        ushort* p = Halves(scores_GRK), dp = Halves(gradients_GRK);
        var logSums = Singles(logSums_NHL);
        for (var row = 0; row < block.RowCount; row++, p += block.KeyCount, dp += block.KeyCount)
        {
            var seen = block.KeysSeenBy(row);
            Bf16Row.Exponentiate(p, seen, (float)scale, logSums[block.RowOfAll(row)]);
            Bf16Row.SoftmaxBackward(p, dp, seen, (float)scale);
            Clear(p, seen, block.KeyCount);
            Clear(dp, seen, block.KeyCount);
        }
    }

    /// <summary>Adds the block's part to the sum over blocks.</summary>
    public static void Add(AttentionBlock block, Tensor part_GKS, Tensor sum_NHLS)
    {
        var size = part_GKS.shape[2];
        var count = (int)(block.KeyCount * size);
        var part = Halves(part_GKS);
        for (var head = 0; head < block.HeadCount; head++, part += count)
            Bf16Row.Add(part, Singles(sum_NHLS) + (block.FirstRowOf(head) * size), count);
    }

    private static ushort* Halves(Tensor tensor) => (ushort*)TensorMemory.Pointer(tensor);

    private static float* Singles(Tensor tensor) => (float*)TensorMemory.Pointer(tensor);

    private static void Clear(ushort* row, int from, int to) => new Span<ushort>(row + from, to - from).Clear();
}
