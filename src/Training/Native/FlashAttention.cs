using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// The flash-attention kernels (Dao, 2023) that come with libtorch, called below autograd: sequences packed end to end, in one call, q, k
/// and v as they lie in one tensor. For bf16 and fp16 on compute capability 8.0 and later; head size a multiple of 8, at most 256.
/// </summary>
internal static class FlashAttention
{
    private static readonly bool[] ForwardReturns = [true, true, true, true, true], BackwardReturns = [true, true, true];

    /// <param name="cumulative">[sequences + 1] int32: where each begins.</param>
    /// <returns>Output [T, H, S], log-sum-exp, and the two states of a random generator that backward wants back.</returns>
    public static Tensor[] Forward(Tensor q_THS, Tensor k_TKS, Tensor v_TKS, Tensor cumulative, long longest, bool causal, double scale)
    {
        var all = Aten.CallForTensors("aten::_flash_attention_forward", "", ForwardReturns, q_THS, k_TKS, v_TKS,
            AtenValue.Optional(cumulative), AtenValue.Optional(cumulative), longest, longest, 0.0, causal, false, AtenValue.Optional(scale),
            AtenValue.None, AtenValue.None, AtenValue.None, AtenValue.None);
        all[4].Dispose(); // the mask, for debugging
        return all[..4];
    }

    /// <param name="forward">What <see cref="Forward"/> returned.</param>
    /// <returns>The gradients of q, k and v.</returns>
    public static Tensor[] Backward(Tensor d_THS, Tensor q_THS, Tensor k_TKS, Tensor v_TKS, IReadOnlyList<Tensor> forward,
        Tensor cumulative, long longest, bool causal, double scale) =>
        Aten.CallForTensors("aten::_flash_attention_backward", "", BackwardReturns, d_THS, q_THS, k_TKS, v_TKS, forward[0], forward[1],
            cumulative, cumulative, longest, longest, 0.0, causal, forward[2], forward[3], AtenValue.Optional(scale),
            AtenValue.None, AtenValue.None);
}
