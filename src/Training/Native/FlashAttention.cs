using Phi3VCluster.Training.Native.Kernels;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// The flash-attention kernels (Dao, 2023) that come with libtorch, called below autograd: sequences packed end to end, in one call, q, k
/// and v as they lie in one tensor. For bf16 and fp16 on compute capability 8.0 and later; head size a multiple of 8, at most 256.
/// </summary>
internal static class FlashAttention
{
    private static readonly bool[] ForwardReturns = [true, true, true, true, true], BackwardReturns = [true, true, true];

    public static Attended Attend(Tensor q_THS, Tensor k_TKS, Tensor v_TKS, SequenceBounds bounds, bool causal, double scale)
    {
        var (cumulative, longest) = (bounds.Cumulative, bounds.Longest);
        var all = Aten.CallForTensors("aten::_flash_attention_forward", "", ForwardReturns, q_THS, k_TKS, v_TKS,
            AtenValue.Optional(cumulative), AtenValue.Optional(cumulative), longest, longest, 0.0, causal, false, AtenValue.Optional(scale),
            AtenValue.None, AtenValue.None, AtenValue.None, AtenValue.None);
        all[4].Dispose(); // the mask, for debugging
        var (output, logSumExp, seed, offset) = (all[0], all[1], all[2], all[3]);
        return new(output, all[..4], (q, k, v, d_THS) =>
        {
            var back = Aten.CallForTensors("aten::_flash_attention_backward", "", BackwardReturns, d_THS, q, k, v, output, logSumExp,
                cumulative, cumulative, longest, longest, 0.0, causal, seed, offset, AtenValue.Optional(scale),
                AtenValue.None, AtenValue.None);
            return (back[0], back[1], back[2]);
        });
    }
}
