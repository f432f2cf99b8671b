using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

// Shapes: R rows (crops · positions), D width, H heads, S head size.

/// <summary>The maps of a tower layer.</summary>
internal sealed record ClipMaps(LayerNorm Norm1, Linear Q, Linear K, Linear V, Linear Out, LayerNorm Norm2, Linear Fc1, Linear Fc2);

/// <summary>A tower layer whose backward is written out; see <see cref="DecoderLayerByHand"/>.</summary>
internal sealed class ClipLayerByHand(VisionConfig config, ClipMaps maps, ILayerKernels kernels)
{
    private readonly double _scale = 1 / Math.Sqrt(config.HeadSize);

    /// <param name="bounds">Of the crops.</param>
    public HandWritten Run(Tensor x_RD, SequenceBounds bounds, bool keepsMlp)
    {
        var (normed, mean1, deviation1) = maps.Norm1.ForwardByHand(x_RD);
        Tensor[] qkv = [Heads(maps.Q.Forward(normed)), Heads(maps.K.Forward(normed)), Heads(maps.V.Forward(normed))];
        normed.Dispose();
        var attended = kernels.Attend(qkv[0], qkv[1], qkv[2], bounds, causal: false, _scale);
        var h_RD = maps.Out.ForwardAdd(attended.Output.view(x_RD.shape), x_RD);

        var (normed2, mean2, deviation2) = maps.Norm2.ForwardByHand(h_RD);
        var inner = maps.Fc1.Forward(normed2);
        normed2.Dispose();
        var y_RD = maps.Fc2.ForwardAdd(kernels.QuickGelu(inner), h_RD);
        Tensor[] ofMlp = keepsMlp ? [mean2, deviation2, inner] : [mean2, deviation2];
        return new(y_RD, [mean1, deviation1, .. qkv, .. attended.Kept, h_RD, .. ofMlp],
            (dy, _) => Attention(Mlp(dy, h_RD, mean2, deviation2, keepsMlp ? inner : null), x_RD, mean1, deviation1, qkv, attended));
    }

    private Tensor Mlp(Tensor dy_RD, Tensor h_RD, Tensor mean, Tensor deviation, Tensor? inner)
    {
        using var scope = NewDisposeScope();
        var normed = maps.Norm2.Forward(h_RD);
        inner ??= maps.Fc1.Forward(normed);
        var d = maps.Fc2.InputGradient(dy_RD, out var through);
        if (maps.Fc2.IsTrained) maps.Fc2.AccumulateGradients(dy_RD, kernels.QuickGelu(inner), through, kernels);
        kernels.QuickGeluBackward(inner, d);
        var dNormed = maps.Fc1.Backward(d, normed, kernels);
        var dh = maps.Norm2.Backward(dNormed, h_RD, mean, deviation);
        dh.Accumulate(dy_RD);
        return dh.MoveToOuterDisposeScope();
    }

    private Tensor Attention(Tensor dh_RD, Tensor x_RD, Tensor mean, Tensor deviation, Tensor[] qkv, AttentionState attended)
    {
        var normed = maps.Norm1.Forward(x_RD);
        var dAttended = maps.Out.Backward(dh_RD, attended.Output.view(dh_RD.shape), kernels);
        var (dq, dk, dv) = kernels.AttendBackward(attended, qkv[0], qkv[1], qkv[2], dAttended.view(attended.Output.shape));
        var dNormed = maps.Q.Backward(Rows(dq), normed, kernels);
        dNormed.Accumulate(maps.K.Backward(Rows(dk), normed, kernels));
        dNormed.Accumulate(maps.V.Backward(Rows(dv), normed, kernels));
        var dx = maps.Norm1.Backward(dNormed, x_RD, mean, deviation);
        dx.Accumulate(dh_RD);
        return dx;
    }

    private Tensor Heads(Tensor x_RD) => x_RD.view(-1, config.HeadCount, config.HeadSize);

    private static Tensor Rows(Tensor x_RHS) => x_RHS.reshape(x_RHS.shape[0], -1);
}
