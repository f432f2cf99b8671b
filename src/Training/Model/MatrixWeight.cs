using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>The matrix [out, in] of a linear map, however it is stored.</summary>
internal abstract class MatrixWeight
{
    /// <summary>Ready to compute with, until the next call for a matrix that shares its place.</summary>
    public abstract Tensor Value { get; }

    public virtual bool IsTrained => false;

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
