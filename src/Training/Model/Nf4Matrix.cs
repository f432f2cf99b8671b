using Phi3VCluster.Training.Model.Quantization;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>
/// Where the 4-bit weights of one kind of map are unpacked, one layer's at a time. Autograd graphs of several layers refer to the place;
/// whoever goes back through one puts its values there again first.
/// </summary>
internal sealed class Nf4Place : IDisposable
{
    private readonly Tensor _values, _behindAutograd;
    private Nf4Tensor? _content;

    /// <param name="first">The shape and device of all that will be held.</param>
    /// <param name="type">What the model computes in.</param>
    public Nf4Place(Nf4Tensor first, ScalarType type)
    {
        _values = empty(first.Shape, type, first.Device).DetachFromDisposeScope();
        // Autograd counts the writes to a tensor it has kept; these are none of its business, so they go through another tensor.
        _behindAutograd = TensorMemory.Alias(_values).DetachFromDisposeScope();
    }

    /// <summary>The weight [out, in], unpacked unless it is the one that is here; the next call overwrites it.</summary>
    public Tensor Hold(Nf4Tensor weight)
    {
        if (ReferenceEquals(_content, weight)) return _values;
        weight.DequantizeTo(_behindAutograd);
        _content = weight;
        return _values;
    }

    public void Dispose()
    {
        _behindAutograd.Dispose();
        _values.Dispose();
    }
}

/// <summary>A frozen matrix in 4 bits, unpacked when it is read.</summary>
internal sealed class Nf4Matrix(Nf4Tensor weight, Nf4Place place) : MatrixWeight
{
    public override Tensor Value => place.Hold(weight);

    public override void Restore() => place.Hold(weight);
}
