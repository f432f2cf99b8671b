using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>Tensors of a model that nobody trains; they live as long as it does, whatever dispose scope they were made in.</summary>
internal sealed class FrozenTensors : IDisposable
{
    private readonly List<Tensor> _all = [];

    /// <summary>float32 on the CPU, not yet filled.</summary>
    public Tensor Add(long[] shape)
    {
        var tensor = empty(shape, ScalarType.Float32).DetachFromDisposeScope();
        _all.Add(tensor);
        return tensor;
    }

    public void Dispose() => _all.ForEach(tensor => tensor.Dispose());
}
