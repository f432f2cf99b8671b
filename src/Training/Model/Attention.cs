using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Blocked;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

// Shapes: N batch, H heads of queries, K heads of keys and values, R queries, L keys, S head size.

/// <summary>softmax(q·kᵀ / √S)·v.</summary>
internal static class Attention
{
    private const long MostKeptScores = 1 << 21; // 8 MiB

    /// <summary>Every query sees every key.</summary>
    /// <remarks>
    /// The fused kernel, or, where all scores are small enough to be kept, plain GEMMs: on a CPU their backward is a third faster,
    /// for it need not compute the scores again.
    /// </remarks>
    public static Tensor Full(AttentionKernel kernel, Tensor q_NHRS, Tensor k_NHLS, Tensor v_NHLS)
    {
        var scale = 1 / Math.Sqrt(q_NHRS.shape[3]);
        if (kernel == AttentionKernel.Eager) return Eager(q_NHRS, k_NHLS, v_NHLS, visible: null, scale);
        var shape = q_NHRS.shape;
        if (q_NHRS.device_type != DeviceType.CPU || shape[0] * shape[1] * shape[2] * shape[2] > MostKeptScores)
        {
            return BlockedAttention.IsWorthIt(q_NHRS)
                ? BlockedAttention.Attend(q_NHRS, k_NHLS, v_NHLS, causal: false, scale)
                : AtenOps.Attention(q_NHRS, k_NHLS, v_NHLS, mask: null, causal: false, scale);
        }
        var (q, k, v) = (q_NHRS.flatten(0, 1), k_NHLS.flatten(0, 1), v_NHLS.flatten(0, 1));
        return q.Times(scale).bmm(k.transpose(1, 2)).softmax(-1).bmm(v).view(shape);
    }

    /// <summary>A query sees the keys up to its own position.</summary>
    /// <param name="visible">[R, L] where the queries are not all positions in order; null where they are, or where one sees all.</param>
    public static Tensor Causal(AttentionKernel kernel, Tensor q_NHRS, Tensor k_NKLS, Tensor v_NKLS, Tensor? visible)
    {
        var (scale, rows, grouped) = (1 / Math.Sqrt(q_NHRS.shape[3]), q_NHRS.shape[2], q_NHRS.shape[1] != k_NKLS.shape[1]);
        var triangle = visible is null && rows > 1;
        if (kernel == AttentionKernel.Fused && triangle && !grouped && BlockedAttention.IsWorthIt(q_NHRS))
            return BlockedAttention.Attend(q_NHRS, k_NKLS, v_NKLS, causal: true, scale);
        if (kernel == AttentionKernel.Fused) return AtenOps.Attention(q_NHRS, k_NKLS, v_NKLS, visible, triangle, scale, grouped);
        if (grouped)
        {
            var repeats = q_NHRS.shape[1] / k_NKLS.shape[1];
            (k_NKLS, v_NKLS) = (k_NKLS.repeat_interleave(repeats, 1), v_NKLS.repeat_interleave(repeats, 1));
        }
        return Eager(q_NHRS, k_NKLS, v_NKLS, triangle ? ones(rows, rows, ScalarType.Bool, q_NHRS.device).tril() : visible, scale);
    }

    private static Tensor Eager(Tensor q, Tensor k, Tensor v, Tensor? visible, double scale)
    {
        var scores = q.Times(scale).matmul(k.transpose(2, 3)).to_type(ScalarType.Float32);
        if (visible is not null) scores = scores.Hide(visible.logical_not());
        return scores.softmax(-1).to_type(v.dtype).matmul(v);
    }
}
