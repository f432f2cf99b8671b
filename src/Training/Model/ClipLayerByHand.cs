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
        var (_, normed, mean1, deviation1) = maps.Norm1.ForwardByHand(kernels, x_RD);
        Tensor[] qkv =
        [
            Heads(maps.Q.ForwardByHand(normed, out var qLow)), Heads(maps.K.ForwardByHand(normed, out var kLow)),
            Heads(maps.V.ForwardByHand(normed, out var vLow)),
        ];
        normed.Dispose();
        var attended = kernels.Attend(qkv[0], qkv[1], qkv[2], bounds, causal: false, _scale);
        var mapped = maps.Out.ForwardByHand(attended.Output.view(x_RD.shape), out var outLow);

        var (h_RD, normed2, mean2, deviation2) = maps.Norm2.ForwardByHand(kernels, mapped, residual: x_RD);
        mapped.Dispose();
        var inner = maps.Fc1.ForwardByHand(normed2, out var fc1Low);
        normed2.Dispose();
        var y_RD = maps.Fc2.ForwardAddByHand(kernels.QuickGelu(inner), h_RD, out var fc2Low);
        var low = new LowRankInputs(qLow, kLow, vLow, outLow, fc1Low, fc2Low);
        Tensor[] ofMlp = keepsMlp ? [mean2, deviation2, inner] : [mean2, deviation2];
        return new(y_RD, [mean1, deviation1, .. qkv, .. attended.Kept, h_RD, .. ofMlp, .. low.Kept],
            (dy, _) => Attention(
                Mlp(dy, h_RD, mean2, deviation2, keepsMlp ? inner : null, low), x_RD, mean1, deviation1, qkv, attended, low));
    }

    private Tensor Mlp(Tensor dy_RD, Tensor h_RD, Tensor mean, Tensor deviation, Tensor? inner, LowRankInputs low)
    {
        using var scope = NewDisposeScope();
        var normed = maps.Norm2.ForwardByHand(kernels, h_RD).Y;
        inner ??= maps.Fc1.Forward(normed);
        var d = maps.Fc2.InputGradient(dy_RD, out var through);
        if (maps.Fc2.IsTrained) maps.Fc2.AccumulateGradients(dy_RD, kernels.QuickGelu(inner), low.Fc2, through, kernels);
        kernels.QuickGeluBackward(inner, d);
        var dNormed = maps.Fc1.Backward(d, normed, low.Fc1, kernels);
        return maps.Norm2.Backward(kernels, dNormed, h_RD, mean, deviation, dResidual: dy_RD).MoveToOuterDisposeScope();
    }

    private Tensor Attention(
        Tensor dh_RD, Tensor x_RD, Tensor mean, Tensor deviation, Tensor[] qkv, Attended attended, LowRankInputs low)
    {
        var normed = maps.Norm1.ForwardByHand(kernels, x_RD).Y;
        var dAttended = maps.Out.Backward(dh_RD, attended.Output.view(dh_RD.shape), low.Out, kernels);
        var (dq, dk, dv) = attended.Back(qkv[0], qkv[1], qkv[2], dAttended.view(attended.Output.shape));
        var dNormed = maps.Q.Backward(Rows(dq), normed, low.Q, kernels);
        maps.K.Backward(Rows(dk), normed, low.K, kernels, onto: dNormed);
        maps.V.Backward(Rows(dv), normed, low.V, kernels, onto: dNormed);
        return maps.Norm1.Backward(kernels, dNormed, x_RD, mean, deviation, dResidual: dh_RD);
    }

    private Tensor Heads(Tensor x_RD) => x_RD.view(-1, config.HeadCount, config.HeadSize);

    private static Tensor Rows(Tensor x_RHS) => x_RHS.reshape(x_RHS.shape[0], -1);

    /// <summary>The maps' inputs through their adapters' A, where they have one.</summary>
    private sealed record LowRankInputs(Tensor? Q, Tensor? K, Tensor? V, Tensor? Out, Tensor? Fc1, Tensor? Fc2)
    {
        public IEnumerable<Tensor> Kept => ((Tensor?[])[Q, K, V, Out, Fc1, Fc2]).OfType<Tensor>();
    }
}
