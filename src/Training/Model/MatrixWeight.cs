using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

// Shapes: T rows, K inputs, N outputs.

/// <summary>The matrix [N, K] of a linear map, however it is stored and multiplied.</summary>
internal abstract class MatrixWeight
{
    /// <summary>Ready to compute with, until the next call for a matrix that shares its place.</summary>
    public abstract Tensor Value { get; }

    public virtual bool IsTrained => false;

    /// <summary>Before the first product of a pass of layers by hand.</summary>
    /// <param name="values">See <see cref="DecoderPass.Values"/>.</param>
    public virtual void Begin(object values)
    {
    }

    /// <summary>xWᵀ + b, [T, N].</summary>
    public virtual Tensor Map(Tensor x_TK, Tensor? bias) => nn.functional.linear(x_TK, Value, bias);

    /// <summary>residual + xWᵀ.</summary>
    public virtual Tensor MapOnto(Tensor x_TK, Tensor residual_TN) => addmm(residual_TN, x_TK, Value.t(), 1, 1);

    /// <summary>dy·W, [T, K].</summary>
    /// <param name="onto">Another map's gradient of the same input, which this one's is added to.</param>
    public virtual Tensor MapBack(Tensor dy_TN, Tensor? onto) => onto is null ? dy_TN.mm(Value) : onto.addmm_(dy_TN, Value, 1, 1);

    /// <summary>Puts the values back where an autograd graph has seen them.</summary>
    public virtual void Restore()
    {
    }
}

/// <summary>A matrix in the model's own type.</summary>
internal sealed class DenseMatrix(Tensor weight) : MatrixWeight
{
    public override Tensor Value => weight;

    public override bool IsTrained => weight.requires_grad;
}
