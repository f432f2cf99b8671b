using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>A tensor to be stored, whose values are not needed before they are written.</summary>
/// <param name="Type">What it is stored in.</param>
/// <param name="Values">Of any type and device. Called once; tensors that it makes are freed when they are written.</param>
public sealed record StoredTensor(TensorInfo Info, ScalarType Type, Func<Tensor> Values)
{
    public static StoredTensor Of(string name, Tensor tensor) => new(new(name, tensor.shape), tensor.dtype, () => tensor);

    public string Name => Info.Name;

    /// <summary>In the file.</summary>
    public long SizeBytes => Info.ElementCount * StoredType.Of(Type).ElementBytes;
}
