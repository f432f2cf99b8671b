using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>The operators we call, with their arguments named.</summary>
public static class AtenOps
{
    private static readonly bool[] ThreeTensors = [true, true, true];

    /// <summary>x / rms(x) · weight over the last dimension, computed in float32.</summary>
    public static Tensor RmsNorm(Tensor x, Tensor weight, double epsilon) =>
        Aten.Call("aten::rms_norm", "", x, new long[] { x.shape[^1] }, AtenValue.Optional(weight), AtenValue.Optional(epsilon));

    /// <summary>
    /// softmax(q·kᵀ·scale)·v on [batch, heads, length, head size]; <paramref name="groupedQueries"/> lets k and v have fewer heads.
    /// </summary>
    public static Tensor Attention(Tensor q, Tensor k, Tensor v, Tensor? mask, bool causal, double scale, bool groupedQueries = false) =>
        Aten.Call(
            "aten::scaled_dot_product_attention", "", q, k, v, AtenValue.Optional(mask), 0.0, causal, AtenValue.Optional(scale),
            groupedQueries);

    /// <summary>Normalisation over the last dimension, with its mean and 1/deviation by row, which backward wants back. No graph.</summary>
    public static (Tensor Y, Tensor Mean, Tensor ReciprocalDeviation) LayerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon)
    {
        var all = Aten.CallForTensors(
            "aten::native_layer_norm", "", ThreeTensors, x, new long[] { x.shape[^1] }, AtenValue.Optional(weight),
            AtenValue.Optional(bias), epsilon);
        return (all[0], all[1], all[2]);
    }

    /// <summary>The gradients of x, weight and bias.</summary>
    public static (Tensor X, Tensor Weight, Tensor Bias) LayerNormBackward(
        Tensor dy, Tensor x, Tensor weight, Tensor mean, Tensor reciprocalDeviation)
    {
        var all = Aten.CallForTensors("aten::native_layer_norm_backward", "", ThreeTensors, dy, x, new long[] { x.shape[^1] }, mean,
            reciprocalDeviation, AtenValue.Optional(weight), AtenValue.Optional(weight), new long[] { 1, 1, 1 });
        return (all[0], all[1], all[2]);
    }

    /// <summary>Rows of <paramref name="weight"/> [vocabulary, width] at <paramref name="ids"/>.</summary>
    public static Tensor Embedding(Tensor weight, Tensor ids) => Aten.Call("aten::embedding", "", weight, ids, -1L, false, false);

    /// <summary>
    /// One AdamW step on every tensor, in place. All float32 and of equal sizes list by list; <paramref name="steps"/> holds one
    /// float32 scalar a tensor, already counted up.
    /// </summary>
    public static void FusedAdamW(Tensor[] parameters, Tensor[] gradients, Tensor[] moments, Tensor[] variances, Tensor[] steps,
        double learningRate, double beta1, double beta2, double weightDecay, double epsilon) =>
        Aten.Invoke("aten::_fused_adamw_", "", parameters, gradients, moments, variances, Array.Empty<Tensor>(), steps,
            learningRate, beta1, beta2, weightDecay, epsilon, false, false, AtenValue.None, AtenValue.None);
}
