using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model.Quantization;

/// <summary>The magnitudes of all blocks of a tensor: float32, or 8 bits each with double quantisation.</summary>
internal sealed unsafe class BlockScales : IDisposable
{
    private BlockScales(Device device, Tensor values, Tensor? absmax = null, Tensor? offset = null) =>
        (Values, Absmax, Offset) = (Keep(values, device)!, Keep(absmax, device), Keep(offset, device));

    /// <summary>float32 magnitudes, or uint8 codes.</summary>
    public Tensor Values { get; }

    /// <summary>What each 256 codes are multiplied by; only with double quantisation, like <see cref="Offset"/>.</summary>
    public Tensor? Absmax { get; }

    /// <summary>The mean of the magnitudes, added to what the codes say.</summary>
    public Tensor? Offset { get; }

    public IEnumerable<Tensor> Tensors => Absmax is null ? [Values] : [Values, Absmax, Offset!];

    /// <param name="absmax">float32 on the CPU, taken over.</param>
    /// <param name="device">Where they are to be.</param>
    public static BlockScales From(Tensor absmax, bool doubleQuantization, Device device)
    {
        if (!doubleQuantization) return new(device, absmax);
        using var scope = NewDisposeScope();
        var offset = absmax.mean();
        var codes = empty(absmax.numel(), ScalarType.Byte);
        var nested = empty(AbsmaxCodebook.Blocks(absmax.numel()), ScalarType.Float32);
        AbsmaxCodebook.Quantize(Memory<float>(absmax - offset), Memory<byte>(codes), Memory<float>(nested));
        return new(device, codes, nested, offset);
    }

    /// <summary>The magnitudes of the blocks from <paramref name="first"/> on. On the CPU only.</summary>
    public void Read(int first, Span<float> magnitudes)
    {
        if (Absmax is null)
        {
            Memory<float>(Values).Slice(first, magnitudes.Length).CopyTo(magnitudes);
            return;
        }
        var codes = Memory<byte>(Values);
        var absmax = Memory<float>(Absmax);
        var offset = Memory<float>(Offset!)[0];
        for (var i = 0; i < magnitudes.Length; i++)
            magnitudes[i] = AbsmaxCodebook.Values[codes[first + i]] * absmax[(first + i) / AbsmaxCodebook.BlockSize] + offset;
    }

    public void Dispose()
    {
        foreach (var tensor in Tensors) tensor.Dispose();
    }

    private static Tensor? Keep(Tensor? part, Device device) => part?.to(device).DetachFromDisposeScope();

    private static Span<T> Memory<T>(Tensor tensor) where T : unmanaged =>
        tensor.numel() == 0 ? [] : new((void*)TensorMemory.Pointer(tensor), checked((int)tensor.numel()));
}
