using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>
/// A low-rank update of a linear map. LoRA (Hu et al., 2021): y = xWᵀ + b + scale·(xAᵀ)Bᵀ. With a magnitude m it is DoRA (Liu et al.,
/// 2024): y = m/‖W + scale·BA‖ ∘ (xWᵀ + scale·(xAᵀ)Bᵀ) + b, norms by row and taken as constants in backward, as PEFT does.
/// </summary>
/// <param name="A">[rank, in].</param>
/// <param name="B">[out, rank].</param>
public sealed record LowRank(Tensor A, Tensor B, double Scale)
{
    /// <summary>DoRA's m, [out]; null for LoRA.</summary>
    public Tensor? Magnitude { get; init; }

    /// <summary>Share of the update's input that is dropped, where a pass asks for dropout.</summary>
    public double Dropout { get; init; }

    internal bool IsTrained => A.requires_grad || B.requires_grad || Magnitude is { requires_grad: true };

    /// <summary>‖W + scale·BA‖ by row, [out] float32, without forming BA: ‖w‖² + 2·scale·b·(A·w) + scale²·b(AAᵀ)b.</summary>
    public static Tensor RowNorms(Tensor weight, Tensor a, Tensor b, double scale)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var own = linalg.vector_norm(weight, dims: [1]).to_type(ScalarType.Float32).square();
        var cross = nn.functional.linear(weight, a.to_type(weight.dtype)).to_type(ScalarType.Float32).mul(b).sum(1).Times(2 * scale);
        var update = b.mm(a.mm(a.t())).mul(b).sum(1).Times(scale * scale);
        return own.Plus(cross).Plus(update).sqrt().MoveToOuterDisposeScope();
    }

    /// <summary>Turns W, float32 as the update is, into the weight that alone does what W and the update do.</summary>
    public void MergeInto(Tensor weight)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        weight.addmm_(B, A, 1, (float)Scale);
        if (Magnitude is not null) weight.mul_(Magnitude.div(linalg.vector_norm(weight, dims: [1])).unsqueeze(1));
    }

    /// <summary>Adds the update to y = xWᵀ, which it may change.</summary>
    internal Tensor Add(Tensor y, Tensor x) => Add(y, x, out _);

    /// <param name="low">xAᵀ [rows, rank], which <see cref="AccumulateGradients"/> wants back.</param>
    internal Tensor Add(Tensor y, Tensor x, out Tensor low)
    {
        low = nn.functional.linear(x, In(x.dtype, A));
        return y.addmm_(low, In(x.dtype, B).t(), 1, (float)Scale);
    }

    /// <summary>Adds what came through the update to the gradient of its input. No graph; LoRA without dropout only.</summary>
    /// <returns>dy·B, [rows, rank].</returns>
    internal Tensor Backward(Tensor dy, Tensor dx)
    {
        var through = dy.mm(In(dy.dtype, B));
        dx.addmm_(through, In(dy.dtype, A), 1, (float)Scale);
        return through;
    }

    /// <summary>Adds the gradients of A and B to their sums.</summary>
    internal void AccumulateGradients(Tensor dy, Tensor x, Tensor low, Tensor through, ILayerKernels kernels)
    {
        if (A.requires_grad) kernels.AccumulateProduct(A.grad!, through, x, Scale);
        if (B.requires_grad) kernels.AccumulateProduct(B.grad!, dy, low, Scale);
    }

    /// <summary>m / ‖W + scale·BA‖, [out] in the type of the magnitude, so that it is exactly 1 where m was taken from the norms.</summary>
    internal Tensor Rescaling(Tensor weight)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (A.detach().to_type(ScalarType.Float32), B.detach().to_type(ScalarType.Float32));
        return Magnitude!.div(RowNorms(weight, a, b, Scale).to_type(Magnitude!.dtype)).MoveToOuterDisposeScope();
    }

    private static Tensor In(ScalarType type, Tensor factor) => factor.dtype == type ? factor : factor.to_type(type);
}
