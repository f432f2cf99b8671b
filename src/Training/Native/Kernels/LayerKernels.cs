using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native.Kernels;

/// <summary>Which kernels a model's layers can have.</summary>
internal static class LayerKernels
{
    private const int RmsNormStep = 32 * CudaKernels.Vector, WidestRmsNorm = 1024 * CudaKernels.Vector; // whole warps, one block a row

    /// <param name="width">Of the rows that are normalised.</param>
    /// <returns>
    /// Null where autograd does as well: on a CPU, in float32 and float16 (flash attention overflows there), on cards before compute
    /// capability 8.0, without a run-time compiler.
    /// </returns>
    public static ILayerKernels? For(Device device, ScalarType type, int width, int inner, int headSize)
    {
        if (type != ScalarType.BFloat16 || !CudaKernels.AreAvailable(device)) return null;
        var fits = width % RmsNormStep == 0 && width <= WidestRmsNorm
            && inner % CudaKernels.Vector == 0 && headSize % (2 * CudaKernels.Vector) == 0;
        return fits ? CudaKernels.Of(device, type) : null;
    }
}
