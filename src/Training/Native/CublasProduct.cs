using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// sum += scale·aᵀ·b with 16-bit factors and a float32 sum, which libtorch offers only by way of a 16-bit product, a copy and an addition:
/// the gradient of a matrix goes straight to where gradients are summed.
/// </summary>
internal static unsafe class CublasProduct
{
    private const int NoTranspose = 0, Transpose = 1, DefaultAlgorithm = -1;
    private const int Real32 = 0, Real16 = 2, BFloat16 = 14, Compute32 = 68; // cudaDataType_t, cublasComputeType_t

    private static readonly Lazy<nint> MultiplyFunction = new(() => Export("cublasGemmEx"));
    private static readonly Lazy<nint> HandleFunction = new(() => Export("torch_get_current_cuda_blas_handle"));

    /// <param name="sum_NK">Float32, contiguous, as the others.</param>
    /// <param name="a_TN">BFloat16 or Float16, as <paramref name="b_TK"/>.</param>
    public static void Accumulate(Tensor sum_NK, Tensor a_TN, Tensor b_TK, double scale = 1)
    {
        var (n, k, t) = ((int)sum_NK.shape[0], (int)sum_NK.shape[1], (int)a_TN.shape[0]);
        nint handle; // carries the thread's current stream
        if (((delegate* unmanaged<nint*, int>)HandleFunction.Value)(&handle) != 0)
            throw new CudaException("libtorch gave no cuBLAS handle.");
        float alpha = (float)scale, one = 1;
        var type = a_TN.dtype == ScalarType.BFloat16 ? BFloat16 : Real16;
        // cuBLAS counts by columns: the row-major sum [N, K] is its [K, N] = b · aᵀ.
        var multiply = (delegate* unmanaged<nint, int, int, int, int, int, float*, nint, int, int, nint, int, int, float*, nint, int, int,
            int, int, int>)MultiplyFunction.Value;
        var code = multiply(
            handle, NoTranspose, Transpose, k, n, t, &alpha, TensorMemory.Pointer(b_TK), type, k, TensorMemory.Pointer(a_TN), type, n, &one,
            TensorMemory.Pointer(sum_NK), Real32, k, Compute32, DefaultAlgorithm);
        if (code != 0) throw new CudaException($"cublasGemmEx failed with {code} on [{t}×{n}]ᵀ·[{t}×{k}].");
    }

    private static nint Export(string function) => NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), function);
}
