using System.Runtime.Intrinsics;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// Sums of squares of float32 numbers in float64. libtorch would first make a float64 copy of everything; both ways here do without.
/// </summary>
internal static class SquareSums
{
    /// <summary>Elements that are float64 at a time on a device: few launches, 128 MiB.</summary>
    private const long DeviceBlock = 16 << 20;

    /// <summary>Of a contiguous 1-D tensor, wherever it is.</summary>
    public static double Of(Tensor tensor)
    {
        if (tensor.device.type == DeviceType.CPU) return OfMemory(tensor);
        var fits = CudaKernels.AreAvailable(tensor.device) && CudaKernels.CanTake(tensor.storage_offset(), tensor.numel());
        if (!fits) return OfBlocks(tensor, DeviceBlock);
        using var quiet = no_grad();
        using var sum = CudaKernels.Of(tensor.device, ScalarType.BFloat16).SquareSum(tensor);
        return sum.item<double>(); // the one wait for the device
    }

    /// <summary>Of a contiguous tensor in host memory: one pass over it, eight sums side by side.</summary>
    public static unsafe double OfMemory(Tensor tensor)
    {
        var data = (float*)TensorMemory.Pointer(tensor);
        var count = tensor.numel();
        var (low, high) = (Vector256<double>.Zero, Vector256<double>.Zero);
        long i = 0;
        for (; i <= count - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            var (first, second) = Vector256.Widen(Vector256.Load(data + i));
            low += first * first;
            high += second * second;
        }
        var total = Vector256.Sum(low + high);
        for (; i < count; i++) total += (double)data[i] * data[i];
        GC.KeepAlive(tensor);
        return total;
    }

    /// <summary>Of a 1-D tensor on any device, with memory for one block.</summary>
    public static double OfBlocks(Tensor tensor, long blockElements)
    {
        using var quiet = no_grad();
        using var total = zeros([], ScalarType.Float64, tensor.device);
        for (long offset = 0, count = tensor.numel(); offset < count; offset += blockElements)
        {
            using var part = tensor.narrow(0, offset, Math.Min(blockElements, count - offset));
            using var block = part.to(ScalarType.Float64);
            using var square = block.dot(block);
            total.Accumulate(square);
        }
        return total.item<double>(); // the one wait for the device
    }
}
