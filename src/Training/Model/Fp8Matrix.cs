using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>
/// A matrix whose products are made of 8-bit numbers, forward and for the input's gradient: of the matrix, of what it is applied to and of
/// the output's gradient, each row with a scale of its own. The matrix' own gradient is 16-bit. No graph.
/// </summary>
internal sealed class Fp8Matrix(MatrixWeight exact, ILayerKernels kernels) : MatrixWeight, IDisposable
{
    private object? _values;
    private Fp8Rows? _rows_NK, _columns_KN; // the same numbers with scales for the one and for the other product

    public override Tensor Value => exact.Value;

    public override bool IsTrained => exact.IsTrained;

    public override void Restore() => exact.Restore();

    /// <summary>Rounds the values unless that is done: once where they are frozen.</summary>
    public override void Begin(object values)
    {
        if (_rows_NK is not null && (!IsTrained || ReferenceEquals(values, _values))) return;
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        Dispose();
        _rows_NK = kernels.Quantize(Value).DetachFromDisposeScope();
        _columns_KN = kernels.Quantize(Value.t().contiguous()).DetachFromDisposeScope();
        _values = values;
    }

    public override Tensor Map(Tensor x_TK, Tensor? bias) => Plus(Product(x_TK, _rows_NK, fast: true), bias);

    public override Tensor MapOnto(Tensor x_TK, Tensor residual_TN) => Plus(Product(x_TK, _rows_NK, fast: true), residual_TN);

    public override Tensor MapBack(Tensor dy_TN, Tensor? onto) => Plus(Product(dy_TN, _columns_KN, fast: false), onto);

    public void Dispose()
    {
        _rows_NK?.Dispose();
        _columns_KN?.Dispose();
        (_rows_NK, _columns_KN) = (null, null);
    }

    private Tensor Product(Tensor x, Fp8Rows? matrix, bool fast)
    {
        using var rows = kernels.Quantize(x);
        return kernels.Product(rows, matrix ?? throw new InvalidOperationException("no pass has begun"), x.dtype, fast);
    }

    private static Tensor Plus(Tensor y, Tensor? more)
    {
        if (more is not null) y.Accumulate(more);
        return y;
    }
}
