using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native.Kernels;

/// <summary>
/// Rows of 8-bit floating-point numbers (Micikevicius et al., 2022, E4M3: at most 448, three bits of mantissa), each row with a scale of
/// its own: a number is its byte's value times its row's scale.
/// </summary>
/// <param name="Bytes">[rows, columns] uint8.</param>
/// <param name="Scales">[rows, 1] float32.</param>
internal sealed record Fp8Rows(Tensor Bytes, Tensor Scales) : IDisposable
{
    /// <summary>What a row's largest magnitude becomes.</summary>
    public const double Largest = 448;

    private const ScalarType E4M3 = (ScalarType)24; // libtorch's Float8_e4m3fn, which TorchSharp has no name for

    /// <summary>Of numbers that are within ±<see cref="Largest"/>, on any device.</summary>
    public static Tensor ToBytes(Tensor numbers)
    {
        using var eight = numbers.to_type(E4M3);
        using var bytes = TensorMemory.Alias(eight, ScalarType.Byte);
        return bytes.clone();
    }

    /// <summary>What the rows stand for, float32.</summary>
    public Tensor Numbers()
    {
        using var eight = TensorMemory.Alias(Bytes, E4M3);
        return eight.to_type(ScalarType.Float32).mul(Scales);
    }

    /// <summary>x·wᵀ [rows of x, rows of w] by the device's 8-bit matrix units (compute capability 9.0), summed in float32.</summary>
    /// <param name="type">Of the result: BFloat16.</param>
    /// <param name="fast">Keep fewer bits of the sums: faster, and enough on the way forward.</param>
    public static Tensor Product(Fp8Rows x, Fp8Rows w, ScalarType type, bool fast)
    {
        using var a = TensorMemory.Alias(x.Bytes, E4M3);
        using var b = TensorMemory.Alias(w.Bytes, E4M3);
        using var columns = b.t();
        using var columnScales = w.Scales.t();
        return Aten.Call("aten::_scaled_mm", "", a, columns, x.Scales, columnScales, AtenValue.None, AtenValue.None,
            AtenValue.Optional(type), fast);
    }

    public Fp8Rows DetachFromDisposeScope() => new(Bytes.DetachFromDisposeScope(), Scales.DetachFromDisposeScope());

    public void Dispose()
    {
        Bytes.Dispose();
        Scales.Dispose();
    }
}
