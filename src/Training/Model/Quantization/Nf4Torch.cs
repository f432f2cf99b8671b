using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Native.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model.Quantization;

/// <summary>From NF4 on a device, by one kernel of ours or by torch's own operations; same bits as <see cref="Nf4Blocks"/>.</summary>
internal sealed class Nf4Torch(Device device) : IDisposable
{
    /// <summary>Converted at a time, whole blocks of blocks; what an element takes meanwhile is 6 bytes.</summary>
    private const long ChunkNumbers = 1 << 22;

    private readonly Tensor _pairs = tensor(Nf4Codebook.Pairs, [256, 2], device: device).DetachFromDisposeScope();
    private readonly Tensor _absmax = tensor(AbsmaxCodebook.Values, device: device).DetachFromDisposeScope();

    public IEnumerable<Tensor> Tensors => [_pairs, _absmax];

    /// <param name="packed">A byte for two numbers.</param>
    /// <param name="result">[numbers], of any float type.</param>
    public void Dequantize(Tensor packed, BlockScales scales, Tensor result)
    {
        if (KernelsFor(result.dtype) is { } kernels && result.numel() % Nf4Blocks.Size == 0)
        {
            kernels.Nf4(
                packed, scales.Absmax is null ? null : scales.Values, _absmax, scales.Absmax ?? scales.Values, scales.Offset, result);
            return;
        }
        for (long start = 0; start < result.numel(); start += ChunkNumbers)
        {
            using var step = NewDisposeScope();
            var count = Math.Min(ChunkNumbers, result.numel() - start);
            var bytes = packed.narrow(0, start / 2, (count + 1) / 2).to_type(ScalarType.Int32);
            var numbers = _pairs.index_select(0, bytes).view(-1).narrow(0, 0, count);
            Multiply(numbers, Magnitudes(scales, start / Nf4Blocks.Size, Nf4Blocks.Count(count)), Nf4Blocks.Size);
            result.narrow(0, start, count).copy_(numbers);
        }
    }

    private CudaKernels? KernelsFor(ScalarType type) =>
        type is ScalarType.BFloat16 or ScalarType.Float16 && CudaKernels.AreAvailable(device) ? CudaKernels.Of(device, type) : null;

    public void Dispose()
    {
        _pairs.Dispose();
        _absmax.Dispose();
    }

    private Tensor Magnitudes(BlockScales scales, long first, long count)
    {
        var values = scales.Values.narrow(0, first, count);
        if (scales.Absmax is null) return values;
        var magnitudes = _absmax.index_select(0, values.to_type(ScalarType.Int32));
        var absmax = scales.Absmax.narrow(0, first / AbsmaxCodebook.BlockSize, AbsmaxCodebook.Blocks(count));
        Multiply(magnitudes, absmax, AbsmaxCodebook.BlockSize);
        magnitudes.Accumulate(scales.Offset!);
        return magnitudes;
    }

    /// <summary>In place, each block by its own factor; the last may be shorter.</summary>
    private static void Multiply(Tensor numbers, Tensor factors, long blockSize)
    {
        var blocks = numbers.numel() / blockSize;
        var rest = numbers.numel() - blocks * blockSize;
        if (blocks > 0) numbers.narrow(0, 0, blocks * blockSize).view(blocks, blockSize).mul_(factors.narrow(0, 0, blocks).unsqueeze(1));
        if (rest > 0) numbers.narrow(0, blocks * blockSize, rest).mul_(factors.narrow(0, blocks, 1));
    }
}
