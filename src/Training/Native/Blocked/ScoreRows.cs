using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native.Blocked;

// Shapes: N sequences, H heads, L positions, S head size; G heads, R queries and K keys of the block.

/// <summary>
/// What attention does between a block's products, in place and row by row: libtorch's softmax alone takes half as long as they do.
/// All tensors are contiguous; scores and parts are bf16, sums float32. On as many threads as libtorch's operators take here.
/// </summary>
internal static unsafe class ScoreRows
{
    /// <summary>Scores become e^(scale·score − scale·the row's largest), and 0 for keys that the row does not see.</summary>
    /// <param name="sums_NHL">Receives each row's sum.</param>
    /// <param name="logSums_NHL">Receives log Σ e^(scale·score).</param>
    public static void Exponentiate(AttentionBlock block, Tensor scores_GRK, double scale, Tensor sums_NHL, Tensor logSums_NHL)
    {
        var (scores, sums, logSums) = (Pointer(scores_GRK), Pointer(sums_NHL), Pointer(logSums_NHL));
        InParallel(block.RowCount, row =>
        {
            var at = (ushort*)scores + ((long)row * block.KeyCount);
            var seen = block.KeysSeenBy(row);
            var largest = (float)scale * Bf16Row.Largest(at, seen);
            var sum = Bf16Row.Exponentiate(at, seen, (float)scale, largest);
            Clear(at, seen, block.KeyCount);
            ((float*)sums)[block.RowOfAll(row)] = sum;
            ((float*)logSums)[block.RowOfAll(row)] = largest + MathF.Log(sum);
        });
    }

    /// <summary>Puts a part of the output, divided by its rows' sums, where it belongs.</summary>
    public static void Divide(AttentionBlock block, Tensor part_GRS, Tensor sums_NHL, Tensor y_NLHS)
    {
        var (part, sums, y, size) = (Pointer(part_GRS), Pointer(sums_NHL), Pointer(y_NLHS), (int)part_GRS.shape[2]);
        InParallel(block.RowCount, row =>
        {
            var (head, query) = (block.FirstHead + row / block.QueryCount, block.FirstQuery + row % block.QueryCount);
            var place = ((long)block.Sequence * block.Length + query) * block.AllHeads + head;
            Bf16Row.Scale((ushort*)part + ((long)row * size), 1 / ((float*)sums)[block.RowOfAll(row)], (ushort*)y + (place * size), size);
        });
    }

    /// <summary>
    /// Scores become weights p, and the weights' gradients those of the scores, scale·p·(dp − Σ p·dp); both 0 for keys that the row does
    /// not see.
    /// </summary>
    /// <param name="logSums_NHL">As forward has left it.</param>
    public static void Back(AttentionBlock block, Tensor scores_GRK, Tensor gradients_GRK, double scale, Tensor logSums_NHL)
    {
        var (scores, gradients, logSums) = (Pointer(scores_GRK), Pointer(gradients_GRK), Pointer(logSums_NHL));
        InParallel(block.RowCount, row =>
        {
            var first = (long)row * block.KeyCount;
            ushort* p = (ushort*)scores + first, dp = (ushort*)gradients + first;
            var seen = block.KeysSeenBy(row);
            Bf16Row.Exponentiate(p, seen, (float)scale, ((float*)logSums)[block.RowOfAll(row)]);
            Bf16Row.SoftmaxBackward(p, dp, seen, (float)scale);
            Clear(p, seen, block.KeyCount);
            Clear(dp, seen, block.KeyCount);
        });
    }

    /// <summary>Adds the block's part to the sum over blocks.</summary>
    public static void Add(AttentionBlock block, Tensor part_GKS, Tensor sum_NHLS)
    {
        var (part, sum, size) = (Pointer(part_GKS), Pointer(sum_NHLS), part_GKS.shape[2]);
        var count = (int)(block.KeyCount * size);
        InParallel(block.HeadCount, head =>
            Bf16Row.Add((ushort*)part + ((long)head * count), (float*)sum + (block.FirstRowOf(head) * size), count));
    }

    private static nint Pointer(Tensor tensor) => TensorMemory.Pointer(tensor);

    private static void Clear(ushort* row, int from, int to) => new Span<ushort>(row + from, to - from).Clear();

    private static void InParallel(int count, Action<int> body)
    {
        var threads = get_num_threads();
        if (threads > 1) Parallel.For(0, threads, new() { MaxDegreeOfParallelism = threads }, Part);
        else Part(0);

        void Part(int part)
        {
            for (var i = (long)count * part / threads; i < (long)count * (part + 1) / threads; i++) body((int)i);
        }
    }
}
