using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>Keys and values of one layer for the positions so far, in memory reserved once for all that will come.</summary>
internal sealed class KeyValueCache(long capacity) : IDisposable
{
    private Tensor? _keys, _values;

    /// <summary>Positions held.</summary>
    public long Length { get; private set; }

    /// <summary>Adds the new positions of [1, heads, new positions, head size] and returns all.</summary>
    public (Tensor Keys, Tensor Values) Append(Tensor keys, Tensor values)
    {
        var added = keys.shape[2];
        _keys ??= Reserve(keys);
        _values ??= Reserve(values);
        _keys.narrow(2, Length, added).copy_(keys);
        _values.narrow(2, Length, added).copy_(values);
        Length += added;
        return (_keys.narrow(2, 0, Length), _values.narrow(2, 0, Length));
    }

    /// <summary>Forgets the positions; the memory stays.</summary>
    public void Clear() => Length = 0;

    public void Dispose()
    {
        _keys?.Dispose();
        _values?.Dispose();
    }

    private Tensor Reserve(Tensor like) =>
        empty([1, like.shape[1], capacity, like.shape[3]], like.dtype, like.device).DetachFromDisposeScope();
}
