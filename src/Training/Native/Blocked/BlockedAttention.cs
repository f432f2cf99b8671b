using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native.Blocked;

// Shapes: N sequences, H heads, L positions, S head size.

/// <summary>
/// softmax(q·kᵀ·scale)·v by blocks of heads and queries, in bf16 products: for processors on which libtorch's fused kernel gains nothing
/// from bf16. Scores are never all in memory; backward computes them again (Dao, 2023). They are rounded to bf16, which eager attention
/// does too and the fused kernel does not; sums are float32.
/// </summary>
/// <remarks>
/// An exception in <see cref="backward"/> would end the process (it passes through libtorch): nothing there depends on what users give.
/// </remarks>
internal sealed class BlockedAttention : autograd.SingleTensorFunction<BlockedAttention>
{
    private const long LeastScores = 1 << 18; // of a sequence: below, one call is quicker than many small ones

    public override string Name => nameof(BlockedAttention);

    /// <summary>Whether it is faster here than the fused kernel.</summary>
    public static bool IsWorthIt(Tensor q_NHLS)
    {
        if (!CpuBf16.IsEmulatedByMkl || q_NHLS.dtype != ScalarType.BFloat16 || q_NHLS.device_type != DeviceType.CPU) return false;
        var shape = q_NHLS.shape;
        return shape[1] * shape[2] * shape[2] >= LeastScores;
    }

    /// <param name="causal">A query sees the keys up to its own position, else all.</param>
    /// <returns>[N, H, L, S], in memory as [N, L, H, S].</returns>
    public static Tensor Attend(Tensor q_NHLS, Tensor k_NHLS, Tensor v_NHLS, bool causal, double scale) =>
        apply(q_NHLS, k_NHLS, v_NHLS, causal, scale);

    public override Tensor forward(autograd.AutogradContext context, params object[] arguments)
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = (((Tensor)arguments[0]).contiguous(), ((Tensor)arguments[1]).contiguous(), ((Tensor)arguments[2]).contiguous());
        var (causal, scale) = ((bool)arguments[3], (double)arguments[4]);
        var y_NLHS = ByRows(q);
        var (sums, logSums) = (empty(q.shape[..3], ScalarType.Float32), empty(q.shape[..3], ScalarType.Float32));
        EachBlock(q.shape, causal, block =>
        {
            var weights = block.Queries(q).bmm(block.Keys(k).transpose(1, 2));
            ScoreRows.Exponentiate(block, weights, scale, sums, logSums);
            ScoreRows.Divide(block, weights.bmm(block.Keys(v)), sums, y_NLHS);
        });
        Tensor[] kept = [q, k, v, logSums];
        context.save_for_backward([.. kept.Select(one => one.MoveToOuterDisposeScope())]);
        context.save_data(nameof(causal), causal);
        context.save_data(nameof(scale), scale);
        return y_NLHS.transpose(1, 2).MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext context, Tensor dy_NHLS)
    {
        using var scope = NewDisposeScope();
        var saved = context.get_saved_variables();
        var (q, k, v, logSums, dy) = (saved[0], saved[1], saved[2], saved[3], dy_NHLS.contiguous());
        var (causal, scale) = ((bool)context.get_data("causal"), (double)context.get_data("scale"));
        var dq = ByRows(q).transpose(1, 2);
        var (dk, dv) = (zeros(k.shape, ScalarType.Float32), zeros(v.shape, ScalarType.Float32));
        EachBlock(q.shape, causal, block =>
        {
            var (queries, dOutput) = (block.Queries(q), block.Queries(dy));
            var weights = queries.bmm(block.Keys(k).transpose(1, 2));
            var dScores = dOutput.bmm(block.Keys(v).transpose(1, 2));
            ScoreRows.Back(block, weights, dScores, scale, logSums);
            ScoreRows.Add(block, weights.transpose(1, 2).bmm(dOutput), dv);
            block.Queries(dq).copy_(dScores.bmm(block.Keys(k)));
            ScoreRows.Add(block, dScores.transpose(1, 2).bmm(queries), dk);
        });
        Tensor[] gradients = [dq, ByRows(k).transpose(1, 2).copy_(dk), ByRows(v).transpose(1, 2).copy_(dv)];
        return [.. gradients.Select(one => one.MoveToOuterDisposeScope()), null!, null!];
    }

    /// <summary>
    /// Lists of blocks side by side, each on one thread from end to end: threads that meet at every product wait for each other.
    /// </summary>
    private static void EachBlock(long[] shape_NHLS, bool causal, Action<AttentionBlock> work)
    {
        var threads = get_num_threads();
        var lists = AttentionBlock.ByHeads(shape_NHLS, causal, threads);
        if (threads == 1)
        {
            foreach (var blocks in lists) WorkOn(blocks);
            return;
        }
        Parallel.For(0, lists.Count, new() { MaxDegreeOfParallelism = threads }, list =>
        {
            var before = get_num_threads(); // by thread, as the recording of graphs and the scopes are
            set_num_threads(1);
            try
            {
                using var _ = no_grad();
                WorkOn(lists[list]);
            }
            finally
            {
                set_num_threads(before);
            }
        });

        void WorkOn(IReadOnlyList<AttentionBlock> blocks)
        {
            foreach (var block in blocks)
            {
                using var scope = NewDisposeScope();
                work(block);
            }
        }
    }

    /// <returns>[N, L, H, S], not filled: as the maps before and after have their rows in memory.</returns>
    private static Tensor ByRows(Tensor x_NHLS) =>
        empty(x_NHLS.shape[0], x_NHLS.shape[2], x_NHLS.shape[1], x_NHLS.shape[3], ScalarType.BFloat16);
}
