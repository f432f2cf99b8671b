using System.Runtime.InteropServices;
using Phi3VCluster.Training.Native;

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

    /// <summary>Copies all of it: masters, m and v, each in as many pieces as it lies in.</summary>
    /// <exception cref="ArgumentException">They are not as long as this.</exception>
    public void Fill(IReadOnlyList<HostSpan> pieces)
    {
        ObjectDisposedException.ThrowIf(_data is null, this);
        if (pieces.Sum(piece => piece.Bytes) != Bytes)
            throw new ArgumentException($"{pieces.Sum(piece => piece.Bytes)} bytes do not fill {Bytes}", nameof(pieces));
        var to = (byte*)_data;
        foreach (var piece in pieces)
        {
            Buffer.MemoryCopy((void*)piece.Address, to, piece.Bytes, piece.Bytes);
            to += piece.Bytes;
        }
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_data);
        _data = null;
    }
}
