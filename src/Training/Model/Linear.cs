using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>x [rows, in] → xWᵀ + b, with a low-rank update where one is attached. Always 2-D, so that every map is one GEMM.</summary>
/// <param name="salt">Tells this map's dropout from others'.</param>
internal sealed class Linear(MatrixWeight weight, Tensor? bias, LowRank? adapter, ulong salt)
{
    public bool IsTrained { get; } = weight.IsTrained || bias is { requires_grad: true } || adapter is { IsTrained: true };

    /// <param name="x">[rows, in].</param>
    /// <param name="dropout">Whose the rows are, where the adapter's input is to be dropped; null drops nothing.</param>
    /// <returns>[rows, out].</returns>
    public Tensor Forward(Tensor x, DropoutRows? dropout = null)
    {
        if (adapter is null) return weight.Map(x, bias);
        var dropped = Dropped(x, dropout);
        if (adapter.Magnitude is not null) return Decomposed(adapter, x, dropped, weight.Value);
        return adapter.Add(weight.Map(x, bias), dropped);
    }

    /// <summary>residual + the map of x; without a bias, the GEMM adds the residual itself.</summary>
    public Tensor ForwardAdd(Tensor x, Tensor residual, DropoutRows? dropout = null)
    {
        if (bias is not null || adapter is { Magnitude: not null }) return Forward(x, dropout).Plus(residual);
        var y = weight.MapOnto(x, residual);
        return adapter is null ? y : adapter.Add(y, Dropped(x, dropout));
    }

    /// <summary>Whether its gradients are known without a graph.</summary>
    public bool CanGoByHand => adapter is null or { Magnitude: null, Dropout: 0 };

    /// <summary>The same map with products of 8-bit numbers; by hand only.</summary>
    /// <param name="own">Takes over the 8-bit copies.</param>
    public Linear InFp8(ILayerKernels kernels, Action<IDisposable> own)
    {
        var matrix = new Fp8Matrix(weight, kernels);
        own(matrix);
        return new(matrix, bias, adapter, salt);
    }

    /// <inheritdoc cref="MatrixWeight.Begin"/>
    public void Begin(object values) => weight.Begin(values);

    /// <summary><see cref="Forward"/> without a graph.</summary>
    /// <param name="low">The input through the adapter's A [rows, rank], which backward wants; null without an adapter.</param>
    public Tensor ForwardByHand(Tensor x, out Tensor? low)
    {
        low = null;
        var y = weight.Map(x, bias);
        return adapter is null ? y : adapter.Add(y, x, out low);
    }

    /// <summary><see cref="ForwardAdd"/> without a graph.</summary>
    public Tensor ForwardAddByHand(Tensor x, Tensor residual, out Tensor? low)
    {
        low = null;
        if (bias is not null)
        {
            var mapped = ForwardByHand(x, out low);
            mapped.Accumulate(residual);
            return mapped;
        }
        var y = weight.MapOnto(x, residual);
        return adapter is null ? y : adapter.Add(y, x, out low);
    }

    /// <summary>dy·W (+ what came through the adapter), the gradient of the input. No graph.</summary>
    /// <param name="through">dy·B [rows, rank], which <see cref="AccumulateGradients"/> wants too; null without an adapter.</param>
    /// <param name="onto">Another map's gradient of the same input, which this one's is added to.</param>
    public Tensor InputGradient(Tensor dy, out Tensor? through, Tensor? onto = null)
    {
        var dx = weight.MapBack(dy, onto);
        through = adapter?.Backward(dy, dx);
        return dx;
    }

    /// <summary>Adds the gradients of all that is trained here to their sums. No graph.</summary>
    public void AccumulateGradients(Tensor dy, Tensor x, Tensor? low, Tensor? through, ILayerKernels kernels)
    {
        if (weight.IsTrained) kernels.AccumulateProduct(weight.Value.grad!, dy, x);
        if (bias is { requires_grad: true }) bias.grad!.Accumulate(dy.sum(0, type: ScalarType.Float32));
        if (adapter is { IsTrained: true }) adapter.AccumulateGradients(dy, x, low!, through!, kernels);
    }

    /// <summary>Both in one, for maps whose input is at hand.</summary>
    public Tensor Backward(Tensor dy, Tensor x, Tensor? low, ILayerKernels kernels, Tensor? onto = null)
    {
        var dx = InputGradient(dy, out var through, onto);
        AccumulateGradients(dy, x, low, through, kernels);
        return dx;
    }

    /// <summary>Before backward: see <see cref="Stretch.Restore"/>.</summary>
    public void Restore() => weight.Restore();

    private Tensor Dropped(Tensor x, DropoutRows? dropout) =>
        adapter!.Dropout > 0 && dropout is not null ? Dropout.Apply(x, adapter.Dropout, dropout, salt) : x;

    /// <summary>DoRA. Only the update's input is dropped, so that with dropout the base map runs a second time, as in PEFT.</summary>
    private Tensor Decomposed(LowRank dora, Tensor x, Tensor dropped, Tensor w)
    {
        var rescaling = dora.Rescaling(w);
        var plain = nn.functional.linear(dropped, w);
        var y = ReferenceEquals(x, dropped)
            ? dora.Add(plain, x).mul(rescaling)
            : nn.functional.linear(x, w).sub(plain).Plus(dora.Add(plain.clone(), dropped).mul(rescaling));
        return bias is null ? y : y.Plus(bias);
    }
}

/// <summary>The tower's normalisation.</summary>
internal sealed class LayerNorm(Tensor weight, Tensor bias, double epsilon)
{
    private readonly long[] _shape = weight.shape;

    public bool IsTrained { get; } = weight.requires_grad || bias.requires_grad;

    public Tensor Forward(Tensor x) => nn.functional.layer_norm(x, _shape, weight, bias, epsilon);

    /// <summary>Of h = x (+ residual), with the statistics that <see cref="Backward"/> wants back. No graph.</summary>
    public (Tensor H, Tensor Y, Tensor Mean, Tensor ReciprocalDeviation) ForwardByHand(
        ILayerKernels kernels, Tensor x, Tensor? residual = null) =>
        kernels.LayerNorm(x, residual, weight, bias, epsilon);

    /// <summary>The gradient of h, plus that of the residual; adds those of weight and bias to their sums. No graph.</summary>
    public Tensor Backward(ILayerKernels kernels, Tensor dy, Tensor h, Tensor mean, Tensor reciprocalDeviation, Tensor dResidual) =>
        kernels.LayerNormBackward(dy, h, weight, mean, reciprocalDeviation, dResidual,
            weight.requires_grad ? weight.grad : null, bias.requires_grad ? bias.grad : null);
}
