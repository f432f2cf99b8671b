using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>x [rows, in] → xWᵀ + b, with a low-rank update where one is attached. Always 2-D, so that every map is one GEMM.</summary>
internal sealed class Linear(Tensor weight, Tensor? bias, LowRank? adapter)
{
    public bool IsTrained { get; } = weight.requires_grad || bias is { requires_grad: true }
        || adapter is not null && (adapter.A.requires_grad || adapter.B.requires_grad);

    public Tensor Forward(Tensor x) => Adapt(x, nn.functional.linear(x, weight, bias));

    /// <summary>residual + the map of x; without a bias, the GEMM adds the residual itself.</summary>
    public Tensor ForwardAdd(Tensor x, Tensor residual) => bias is null
        ? Adapt(x, addmm(residual, x, weight.t(), 1, 1))
        : Adapt(x, nn.functional.linear(x, weight, bias).add(residual));

    private Tensor Adapt(Tensor x, Tensor y)
    {
        if (adapter is null) return y;
        var (a, b) = (adapter.A, adapter.B);
        if (a.dtype != x.dtype) (a, b) = (a.to_type(x.dtype), b.to_type(x.dtype)); // adapters may keep float32 masters
        return y.addmm_(nn.functional.linear(x, a), b.t(), 1, (float)adapter.Scale);
    }
}

/// <summary>The tower's normalisation.</summary>
internal sealed class LayerNorm(Tensor weight, Tensor bias, double epsilon)
{
    private readonly long[] _shape = weight.shape;

    public bool IsTrained { get; } = weight.requires_grad || bias.requires_grad;

    public Tensor Forward(Tensor x) => nn.functional.layer_norm(x, _shape, weight, bias, epsilon);
}
