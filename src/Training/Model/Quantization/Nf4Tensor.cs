using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model.Quantization;

/// <summary>
/// A frozen weight in NF4, a little over half a byte an element (QLoRA: Dettmers and others, 2023). Same layout and same bits as
/// bitsandbytes': two codes a byte over the whole tensor, row after row, and a magnitude for every 64 elements, which double quantisation
/// stores in 8 bits. Lives until it is disposed, whatever dispose scope it was made in.
/// </summary>
public sealed class Nf4Tensor : IDisposable
{
    private readonly Nf4Torch? _torch;

    private Nf4Tensor(long[] shape, Tensor packed, BlockScales scales)
    {
        (Shape, Packed, Scales) = (shape, packed, scales);
        if (packed.device_type != DeviceType.CPU) _torch = new(packed.device);
    }

    /// <summary>The weight's, [out, in].</summary>
    public long[] Shape { get; }

    public Device Device => Packed.device;

    /// <summary>What it occupies on its device.</summary>
    public long SizeBytes => ((Tensor[])[Packed, .. Scales.Tensors, .. _torch?.Tensors ?? []]).Sum(part => part.numel() * part.ElementSize);

    /// <summary>A byte for two elements, the first in its high four bits.</summary>
    internal Tensor Packed { get; }

    internal BlockScales Scales { get; }

    /// <param name="weight">Of any float type, on the CPU; stays the caller's.</param>
    /// <param name="doubleQuantization">Magnitudes in 8 bits: 0.52 bytes an element instead of 0.56.</param>
    /// <param name="device">Where the result is to be.</param>
    public static Nf4Tensor Quantize(Tensor weight, bool doubleQuantization, Device device)
    {
        if (weight.device_type != DeviceType.CPU || !weight.is_floating_point())
            throw new ArgumentException($"only floats on the CPU can be quantised, got {weight.dtype} on {weight.device}", nameof(weight));
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var numbers = weight.contiguous().view(-1);
        var packed = empty((numbers.numel() + 1) / 2, ScalarType.Byte);
        var absmax = empty(Nf4Blocks.Count(numbers.numel()), ScalarType.Float32);
        Nf4Memory.Quantize(numbers, packed, absmax);
        return new(weight.shape, packed.to(device).DetachFromDisposeScope(), BlockScales.From(absmax, doubleQuantization, device));
    }

    /// <summary>The weight as far as it was kept, without a gradient, in the current dispose scope.</summary>
    public Tensor Dequantize(ScalarType type)
    {
        var result = empty(Shape, type, Packed.device);
        DequantizeTo(result);
        return result;
    }

    /// <summary>
    /// As <see cref="Dequantize"/>, into a tensor that is there. For a large weight on the CPU this is many times faster: the pages of
    /// new memory take longer than the arithmetic.
    /// </summary>
    /// <param name="weight">Contiguous, of any float type, on the same device.</param>
    public void DequantizeTo(Tensor weight)
    {
        if (!weight.shape.SequenceEqual(Shape) || weight.device_type != Packed.device_type)
            throw new ArgumentException($"no place for [{string.Join(", ", Shape)}] on {Packed.device}, got " +
                $"[{string.Join(", ", weight.shape)}] on {weight.device}", nameof(weight));
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        if (_torch is null) Nf4Memory.Dequantize(Packed, Scales, weight.view(-1));
        else _torch.Dequantize(Packed, Scales, weight.view(-1));
    }

    public void Dispose()
    {
        Packed.Dispose();
        Scales.Dispose();
        _torch?.Dispose();
    }
}
