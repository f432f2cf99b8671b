using Phi3VCluster.Training.Native.Kernels;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

// Shapes: L positions of the pack, D width, C columns of q, k and v together, H heads of queries, K heads of keys and values, S head size.

/// <summary>
/// A decoder layer whose backward is written out: memory is passed over as few times as the kernels allow, normalised inputs and the MLP's
/// product are computed again rather than kept, and a matrix' gradient goes straight to its sum. All positions, LoRA or none.
/// </summary>
internal sealed class DecoderLayerByHand(
    Phi3VConfig config, Tensor norm1, Tensor norm2, Linear qkv, Linear o, Linear gateUp, Linear down, ILayerKernels kernels)
{
    private readonly int _heads = config.HeadCount, _kvHeads = config.KeyValueHeadCount;
    private readonly double _scale = 1 / Math.Sqrt(config.HeadSize), _epsilon = config.RmsNormEpsilon;

    /// <param name="keepsMlp">False computes the MLP's first product again in backward: half the memory.</param>
    public HandWritten Run(Tensor x_LD, DecoderPass pass, bool keepsMlp)
    {
        foreach (var map in (Linear[])[qkv, o, gateUp, down]) map.Begin(pass.Values);
        var (_, normed, rms1) = kernels.RmsNorm(x_LD, null, norm1, _epsilon);
        var qkv_LC = qkv.ForwardByHand(normed, out var qkvLow);
        normed.Dispose();
        kernels.Rotate(qkv_LC, pass.Rope.Cos, pass.Rope.Sin, _heads + _kvHeads);
        var (q, k, v) = Split(qkv_LC);
        var attended = kernels.Attend(q, k, v, pass.Bounds!, causal: true, _scale);
        var h_LD = o.ForwardAddByHand(attended.Output.view(x_LD.shape), x_LD, out var oLow);

        var (normed2, rms2) = Norm2(h_LD);
        var gateUp_L2F = gateUp.ForwardByHand(normed2, out var gateUpLow);
        normed2.Dispose();
        var y_LD = down.ForwardAddByHand(kernels.SwiGlu(gateUp_L2F), h_LD, out var downLow);
        var low = new LowRankInputs(qkvLow, oLow, gateUpLow, downLow);
        return new(y_LD, [rms1, qkv_LC, .. attended.Kept, h_LD, rms2, .. low.Kept, .. keepsMlp ? [gateUp_L2F] : Array.Empty<Tensor>()],
            (dy, asked) => Attention(
                Mlp(dy, h_LD, rms2, keepsMlp ? gateUp_L2F : null, low), x_LD, rms1, qkv_LC, attended, pass, low, asked));
    }

    /// <summary>The gradient of h.</summary>
    private Tensor Mlp(Tensor dy_LD, Tensor h_LD, Tensor rms_L, Tensor? gateUp_L2F, LowRankInputs low)
    {
        using var scope = NewDisposeScope();
        var normed = Norm2(h_LD).Normed;
        gateUp_L2F ??= gateUp.Forward(normed);
        var dProduct = down.InputGradient(dy_LD, out var through);
        var product = kernels.SwiGluBackward(gateUp_L2F, dProduct, again: down.IsTrained); // gateUp holds its gradient now
        if (product is not null) down.AccumulateGradients(dy_LD, product, low.Down, through, kernels);
        var dNormed = gateUp.Backward(gateUp_L2F, normed, low.GateUp, kernels);
        return kernels.RmsNormBackward(dNormed, h_LD, norm2, rms_L, dResidual_TD: dy_LD, GradientOf(norm2)).MoveToOuterDisposeScope();
    }

    /// <summary>The gradient of x.</summary>
    private Tensor? Attention(
        Tensor dh_LD, Tensor x_LD, Tensor rms_L, Tensor qkv_LC, Attended attended, DecoderPass pass, LowRankInputs low, bool asked)
    {
        var normed = kernels.RmsNorm(x_LD, null, norm1, _epsilon).Y;
        var dAttended = o.Backward(dh_LD, attended.Output.view(dh_LD.shape), low.O, kernels);
        var (q, k, v) = Split(qkv_LC);
        var (dq, dk, dv) = attended.Back(q, k, v, dAttended.view(attended.Output.shape));
        var dQkv = kernels.RotateBack(dq, dk, dv, pass.Rope.Cos, pass.Rope.Sin);
        var dNormed = qkv.Backward(dQkv, normed, low.Qkv, kernels);
        return asked || norm1.requires_grad
            ? kernels.RmsNormBackward(dNormed, x_LD, norm1, rms_L, dResidual_TD: dh_LD, GradientOf(norm1))
            : null;
    }

    private (Tensor Normed, Tensor ReciprocalRms) Norm2(Tensor h_LD)
    {
        var (_, normed, rms) = kernels.RmsNorm(h_LD, null, norm2, _epsilon);
        return (normed, rms);
    }

    private (Tensor Q_LHS, Tensor K_LKS, Tensor V_LKS) Split(Tensor qkv_LC)
    {
        var parts = qkv_LC.view(-1, _heads + 2 * _kvHeads, config.HeadSize).split([_heads, _kvHeads, _kvHeads], 1);
        return (parts[0], parts[1], parts[2]);
    }

    private static Tensor? GradientOf(Tensor weight) => weight.requires_grad ? weight.grad : null;

    /// <summary>The maps' inputs through their adapters' A, where they have one.</summary>
    private sealed record LowRankInputs(Tensor? Qkv, Tensor? O, Tensor? GateUp, Tensor? Down)
    {
        public IEnumerable<Tensor> Kept => ((Tensor?[])[Qkv, O, GateUp, Down]).OfType<Tensor>();
    }
}
