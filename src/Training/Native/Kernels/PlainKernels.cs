using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native.Kernels;

/// <summary>The formulas in libtorch's own operations, for any device and type: what every other set must equal.</summary>
internal sealed class PlainKernels : ILayerKernels
{
    private const double GeluSlope = 1.702;

    public (Tensor H, Tensor Y, Tensor ReciprocalRms) RmsNorm(Tensor x_TD, Tensor? residual_TD, Tensor weight_D, double epsilon)
    {
        var h = residual_TD is null ? x_TD : x_TD.Plus(residual_TD);
        var h32 = h.to_type(ScalarType.Float32);
        using var least = tensor((float)epsilon, device: x_TD.device);
        var rstd = h32.square().mean([1]).Plus(least).rsqrt();
        return (h, h32.mul(rstd.unsqueeze(1)).mul(weight_D).to_type(x_TD.dtype), rstd);
    }

    public Tensor RmsNormBackward(
        Tensor dy_TD, Tensor h_TD, Tensor weight_D, Tensor reciprocalRms_T, Tensor? dResidual_TD, Tensor? dWeight_D)
    {
        var (dy, rstd) = (dy_TD.to_type(ScalarType.Float32), reciprocalRms_T.unsqueeze(1));
        var normed = h_TD.to_type(ScalarType.Float32).mul(rstd);
        dWeight_D?.Accumulate(dy.mul(normed).sum(dim: 0)); // a bare 0 would be read as a type
        var g = dy.mul(weight_D);
        var dh = g.sub(normed.mul(g.mul(normed).mean([1], keepdim: true))).mul(rstd);
        return (dResidual_TD is null ? dh : dh.Plus(dResidual_TD)).to_type(h_TD.dtype);
    }

    public (Tensor H, Tensor Y, Tensor Mean, Tensor ReciprocalDeviation) LayerNorm(
        Tensor x_TD, Tensor? residual_TD, Tensor weight_D, Tensor bias_D, double epsilon)
    {
        var h = residual_TD is null ? x_TD : x_TD.Plus(residual_TD);
        var (y, mean, reciprocalDeviation) = AtenOps.LayerNorm(h, weight_D, bias_D, epsilon);
        return (h, y, mean, reciprocalDeviation);
    }

    public Tensor LayerNormBackward(Tensor dy_TD, Tensor h_TD, Tensor weight_D, Tensor mean_T, Tensor reciprocalDeviation_T,
        Tensor dResidual_TD, Tensor? dWeight_D, Tensor? dBias_D)
    {
        var (dh, dWeight, dBias) = AtenOps.LayerNormBackward(dy_TD, h_TD, weight_D, mean_T, reciprocalDeviation_T);
        dWeight_D?.Accumulate(dWeight);
        dBias_D?.Accumulate(dBias);
        return dh.Plus(dResidual_TD);
    }

    public Tensor SwiGlu(Tensor gateUp_T2F)
    {
        var parts = gateUp_T2F.chunk(2, 1);
        return nn.functional.silu(parts[0]).mul(parts[1]);
    }

    public Tensor? SwiGluBackward(Tensor gateUp_T2F, Tensor d_TF, bool again)
    {
        var parts = gateUp_T2F.chunk(2, 1);
        var (gate, up) = (parts[0].clone(), parts[1].clone());
        var (sigmoid, silu) = (gate.sigmoid(), nn.functional.silu(gate));
        parts[0].copy_(d_TF.mul(up).mul(sigmoid.Plus(silu.sub(silu.mul(sigmoid)))));
        parts[1].copy_(d_TF.mul(silu));
        return again ? silu.mul(up) : null;
    }

    public Tensor QuickGelu(Tensor x) => x.mul(x.Times(GeluSlope).sigmoid());

    public void QuickGeluBackward(Tensor x, Tensor d)
    {
        var sigmoid = x.Times(GeluSlope).sigmoid();
        d.mul_(sigmoid.Plus(x.mul(sigmoid).Times(GeluSlope).mul(sigmoid.neg().Plus(ones_like(sigmoid)))));
    }

    public void Rotate(Tensor x_TC, Tensor cos, Tensor sin, int heads) => Turn(x_TC, cos, sin, heads);

    public Tensor RotateBack(Tensor dq_THS, Tensor dk_TKS, Tensor dv_TKS, Tensor cos, Tensor sin)
    {
        var joined = cat([dq_THS, dk_TKS, dv_TKS], 1).flatten(1);
        Turn(joined, cos, sin.neg(), (int)(dq_THS.shape[1] + dk_TKS.shape[1]));
        return joined;
    }

    private static void Turn(Tensor x_TC, Tensor cos, Tensor sin, int heads)
    {
        var size = cos.shape[^1];
        var x = x_TC.narrow(1, 0, heads * size).view(-1, heads, size);
        var rotated = x.mul(cos).Plus(x.roll(size / 2, 2).mul(sin));
        x.copy_(rotated);
    }

    public int LengthMultiple { get; init; } = 1;

    /// <summary>Backward computes every sequence again, with a graph.</summary>
    public Attended Attend(Tensor q_THS, Tensor k_TKS, Tensor v_TKS, SequenceBounds bounds, bool causal, double scale)
    {
        var output = All(q_THS, k_TKS, v_TKS);
        return new(output, [output], Back);

        Tensor All(Tensor q, Tensor k, Tensor v) =>
            cat([.. Pieces(bounds).Select(piece => One(Cut(q, piece), Cut(k, piece), Cut(v, piece), causal, scale))], 0);

        (Tensor, Tensor, Tensor) Back(Tensor q, Tensor k, Tensor v, Tensor d_THS)
        {
            using var recording = enable_grad();
            (q, k, v) = (q.detach().requires_grad_(), k.detach().requires_grad_(), v.detach().requires_grad_());
            autograd.backward([All(q, k, v)], [d_THS]);
            return (q.grad!, k.grad!, v.grad!);
        }
    }

    public void AccumulateProduct(Tensor sum_NK, Tensor dy_TN, Tensor x_TK, double scale = 1) =>
        sum_NK.Accumulate(dy_TN.t().mm(x_TK).Times(scale));

    public bool HasFp8 => true;

    public Fp8Rows Quantize(Tensor x_TK)
    {
        var x = x_TK.to_type(ScalarType.Float32);
        var largest = x.abs().amax([1], keepdim: true);
        var most = ones_like(largest).Times(Fp8Rows.Largest);
        var isZero = largest.eq(zeros_like(largest));
        var scales = where(isZero, ones_like(largest), largest.div(most));
        return new(Fp8Rows.ToBytes(x.mul(where(isZero, ones_like(largest), most.div(largest)))), scales);
    }

    public Tensor Product(Fp8Rows x_TK, Fp8Rows w_NK, ScalarType type, bool fast) => x_TK.Numbers().mm(w_NK.Numbers().t()).to_type(type);

    private static Tensor One(Tensor q_LHS, Tensor k_LKS, Tensor v_LKS, bool causal, double scale) => AtenOps
        .Attention(Heads(q_LHS), Heads(k_LKS), Heads(v_LKS), mask: null, causal, scale, q_LHS.shape[1] != k_LKS.shape[1])
        .squeeze(0).transpose(0, 1);

    private static Tensor Heads(Tensor x_LHS) => x_LHS.transpose(0, 1).unsqueeze(0);

    private static Tensor Cut(Tensor x, (long Start, long Length) piece) => x.narrow(0, piece.Start, piece.Length);

    private static IEnumerable<(long Start, long Length)> Pieces(SequenceBounds bounds)
    {
        var start = 0L;
        foreach (var length in bounds.Lengths)
        {
            yield return (start, length);
            start += length;
        }
    }
}
