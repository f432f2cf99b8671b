using Phi3VCluster.Training.Model.Quantization;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a model reads and nobody trains; lives as long as it does, whatever dispose scope it was made in.</summary>
internal sealed class FrozenTensors(Device device, ScalarType type) : IDisposable
{
    private readonly List<IDisposable> _all = [];

    /// <summary>Not yet filled.</summary>
    public Tensor Add(long[] shape)
    {
        var tensor = empty(shape, type, device).DetachFromDisposeScope();
        _all.Add(tensor);
        return tensor;
    }

    /// <summary>Takes over something else that must live as long.</summary>
    public T Own<T>(T one) where T : IDisposable
    {
        _all.Add(one);
        return one;
    }

    /// <summary>Bytes held.</summary>
    public long SizeBytes => _all.Sum(one => one switch
    {
        Tensor tensor => tensor.numel() * tensor.ElementSize,
        Nf4Tensor packed => packed.SizeBytes,
        _ => 0,
    });

    public void Dispose() => _all.ForEach(one => one.Dispose());
}
