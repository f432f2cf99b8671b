using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model.Quantization;

/// <summary>Whole tensors on the CPU to NF4 and back; other float types pass through a float32 buffer that stays in the cache.</summary>
internal static unsafe class Nf4Memory
{
    private const int ChunkBlocks = 1024, ChunkNumbers = ChunkBlocks * Nf4Blocks.Size;

    /// <param name="numbers">[numbers], contiguous, of any float type.</param>
    /// <param name="packed">Receives a byte for two of them.</param>
    /// <param name="absmax">Receives the float32 magnitude of each block.</param>
    public static void Quantize(Tensor numbers, Tensor packed, Tensor absmax)
    {
        var target = (byte*)TensorMemory.Pointer(packed);
        var magnitudes = (float*)TensorMemory.Pointer(absmax);
        var buffer = Buffer(numbers);
        for (long start = 0; start < numbers.numel(); start += ChunkNumbers)
        {
            var count = Math.Min(ChunkNumbers, numbers.numel() - start);
            if (buffer is not null) Copy(numbers, start, buffer, 0, count);
            var source = (float*)TensorMemory.Pointer(buffer ?? numbers) + (buffer is null ? start : 0);
            Nf4Blocks.Quantize(source, count, target + start / 2, magnitudes + start / Nf4Blocks.Size);
        }
    }

    /// <param name="packed">A byte for two numbers.</param>
    /// <param name="numbers">Receives them: [numbers], contiguous, of any float type.</param>
    public static void Dequantize(Tensor packed, BlockScales scales, Tensor numbers)
    {
        var source = (byte*)TensorMemory.Pointer(packed);
        var magnitudes = stackalloc float[ChunkBlocks];
        var buffer = Buffer(numbers);
        for (long start = 0; start < numbers.numel(); start += ChunkNumbers)
        {
            var count = Math.Min(ChunkNumbers, numbers.numel() - start);
            scales.Read((int)(start / Nf4Blocks.Size), new(magnitudes, (int)Nf4Blocks.Count(count)));
            var target = (float*)TensorMemory.Pointer(buffer ?? numbers) + (buffer is null ? start : 0);
            Nf4Blocks.Dequantize(source + start / 2, magnitudes, target, count);
            if (buffer is not null) Copy(buffer, 0, numbers, start, count);
        }
    }

    private static Tensor? Buffer(Tensor numbers) =>
        numbers.dtype == ScalarType.Float32 ? null : empty(Math.Min(ChunkNumbers, numbers.numel()), ScalarType.Float32);

    private static void Copy(Tensor source, long sourceStart, Tensor target, long targetStart, long count)
    {
        using var scope = NewDisposeScope();
        target.narrow(0, targetStart, count).copy_(source.narrow(0, sourceStart, count));
    }
}
