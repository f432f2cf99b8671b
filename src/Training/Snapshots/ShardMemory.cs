using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Snapshots;

/// <summary>
/// A rank's part of the trained state in host memory: masters, then m, then v, each float32 and as long as the part. No tensor, so that
/// threads of the courier may read it.
/// </summary>
public sealed unsafe class ShardMemory(long elements) : IDisposable
{
    /// <summary>Masters, m and v.</summary>
    public const int Parts = 3;

    private void* _data = NativeMemory.AlignedAlloc((nuint)Math.Max(1, Parts * elements * sizeof(float)), 64);

    /// <summary>Of each part.</summary>
    public long Elements => elements;

    public long Bytes => Parts * elements * sizeof(float);

    public nint Address => (nint)_data;

    /// <param name="part">From 0: masters, m, v.</param>
    public Span<byte> Of(int part, long offset, int count)
    {
        ObjectDisposedException.ThrowIf(_data is null, this);
        if (offset < 0 || count < 0 || offset + count > elements) throw new ArgumentOutOfRangeException(nameof(offset));
        return new((float*)_data + (part * elements) + offset, count * sizeof(float));
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_data);
        _data = null;
    }
}
