using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>Raw access to tensors' memory, and tensors over memory that libtorch does not own.</summary>
public static unsafe class TensorMemory
{
    /// <summary>Address of the first element of a contiguous tensor, views included. Valid while the tensor lives.</summary>
    public static nint Pointer(Tensor tensor)
    {
        if (!tensor.is_contiguous())
            throw new ArgumentException($"the tensor [{string.Join("×", tensor.shape)}] is not contiguous", nameof(tensor));
        return AtenNative.torch_get_mutable_data_ptr(tensor.Handle, out var pointer) == 0
            ? pointer
            : throw new AtenException("libtorch gave no data pointer; its reason is on stderr.");
    }

    /// <summary>A CPU tensor over memory of somebody else's, who must keep it in place until the tensor is disposed.</summary>
    public static Tensor View(nint data, ReadOnlySpan<long> shape, ScalarType type) => Over(data, shape, type, CPU);

    /// <summary>
    /// Another tensor over the same elements, which autograd takes for a stranger: writing through it is no change of the first. The first,
    /// contiguous, must live as long.
    /// </summary>
    public static Tensor Alias(Tensor tensor) => Alias(tensor, tensor.dtype);

    /// <summary>The same of another type whose elements are as large.</summary>
    internal static Tensor Alias(Tensor tensor, ScalarType type) => Over(Pointer(tensor), tensor.shape, type, tensor.device);

    private static Tensor Over(nint data, ReadOnlySpan<long> shape, ScalarType type, Device device)
    {
        LibTorch.Load();
        var strides = stackalloc long[Math.Max(shape.Length, 1)];
        var sizes = stackalloc long[Math.Max(shape.Length, 1)];
        long step = 1;
        for (var i = shape.Length - 1; i >= 0; i--)
        {
            (sizes[i], strides[i]) = (shape[i], step);
            step *= Math.Max(shape[i], 1);
        }
        var code = AtenNative.aoti_torch_create_tensor_from_blob(
            data, shape.Length, sizes, strides, 0, (int)type, (int)device.type, Math.Max(device.index, 0), out var handle);
        return code == 0
            ? Tensor.UnsafeCreateTensor(handle)
            : throw new AtenException("libtorch made no tensor over foreign memory; its reason is on stderr.");
    }
}
