using System.Runtime.InteropServices;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// Ring collectives (Patarasuk and Yuan, 2009): every rank sends and receives 2(n−1)/n of the buffer for an all-reduce, which is
/// the least possible. Segment j starts at rank j+1 and is summed on its way to rank j, so the order of summation never changes.
/// </summary>
internal sealed unsafe class TcpRing : ICollective
{
    /// <summary>Below this, going round once with whole buffers beats going round twice with parts.</summary>
    private const int SmallBytes = 16 << 10;

    private readonly Lock _call = new(); // held during an operation: Dispose waits for it before it frees memory and sockets
    private readonly RingLink _link;
    private readonly RingPipeline _pipeline;
    private readonly float* _small;      // one slot of SmallBytes a rank
    private ushort* _halves;             // a buffer's numbers as they travel; made by the first sum that needs it
    private long _halvesCount;
    private long _operations;
    private bool _disposed;

    /// <param name="generation">The rendezvous that made this ring.</param>
    /// <param name="rank">This rank.</param>
    /// <param name="worldSize">At least 2.</param>
    /// <param name="link">Connected to the neighbours; owned from here on.</param>
    public TcpRing(long generation, int rank, int worldSize, RingLink link)
    {
        (Generation, Rank, WorldSize, _link) = (generation, rank, worldSize, link);
        _pipeline = new(link);
        _small = (float*)NativeMemory.AlignedAlloc((nuint)worldSize * SmallBytes, 64);
    }

    public int Rank { get; }
    public int WorldSize { get; }
    public long Generation { get; }

    public void AllReduce(Tensor buffer) => AllReduce(buffer, null);

    /// <param name="half">Ignored for a buffer of <see cref="SmallBytes"/>: it is no traffic.</param>
    public void AllReduce(Tensor buffer, HalfSum? half)
    {
        CollectiveBuffer.Check(buffer, summed: true);
        if (buffer.numel() * sizeof(float) <= SmallBytes) Operate(RingOperationKind.AllReduce, sizeof(float), buffer, GatherAndSum);
        else Sum(RingOperationKind.AllReduce, buffer, half, last: 2 * WorldSize - 2);
    }

    public void ReduceScatter(Tensor buffer) => ReduceScatter(buffer, null);

    public void ReduceScatter(Tensor buffer, HalfSum? half)
    {
        CollectiveBuffer.Check(buffer, summed: true);
        Sum(RingOperationKind.ReduceScatter, buffer, half, last: WorldSize - 1);
    }

    public void AllGather(Tensor buffer)
    {
        CollectiveBuffer.Check(buffer, summed: false);
        Operate(RingOperationKind.AllGather, (int)buffer.ElementSize, buffer,
            (operation, data) => Travel(operation, data, WorldSize - 1, 2 * WorldSize - 2, RingFloats.Instance));
    }

    public void Abort(string reason) => _link.Abort($"aborted: {reason}");

    public void Dispose()
    {
        _link.Abort("the collective is disposed");
        lock (_call)
        {
            if (_disposed) return;
            _disposed = true;
            _link.Dispose();
            _pipeline.Dispose();
            NativeMemory.AlignedFree(_small);
            NativeMemory.AlignedFree(_halves);
        }
    }

    /// <param name="last">The last station; see <see cref="Travel"/>.</param>
    private void Sum(RingOperationKind kind, Tensor buffer, HalfSum? half, int last)
    {
        if (half is null)
            Operate(kind, sizeof(float), buffer, (operation, data) => Travel(operation, data, 0, last, RingFloats.Instance));
        else
            Operate(kind, sizeof(ushort), buffer, (operation, data) => TravelHalved(operation, data, half, last));
    }

    private void Operate(RingOperationKind kind, int elementBytes, Tensor buffer, Action<RingOperation, nint> move)
    {
        var operation = new RingOperation(kind, elementBytes, ++_operations, buffer.numel());
        lock (_call)
        {
            try
            {
                _link.ThrowIfBroken();
                move(operation, buffer.numel() == 0 ? 0 : TensorMemory.Pointer(buffer));
            }
            catch (CollectiveException failure)
            {
                _link.Abort(failure.Message); // half a message is on the wire: nothing can follow it, and peers must not wait
                throw new CollectiveException(
                    $"{kind} {operation.Number} of rank {Rank} of {WorldSize} (generation {Generation}): {failure.Message}.", failure);
            }
        }
        GC.KeepAlive(buffer);
    }

    /// <summary>
    /// Takes stations <paramref name="first"/> … <paramref name="last"/> of the whole way: station k is shard (rank − 1 − k) mod n.
    /// Arriving at stations 1 … n−1 means being summed, the last of them being the own shard; from then on sums are handed round.
    /// </summary>
    private void Travel(RingOperation operation, nint data, int first, int last, IRingNumbers numbers)
    {
        var path = new RingSegment[last - first + 1];
        for (var k = first; k <= last; k++)
        {
            var shard = ShardOf(operation, k);
            var (offset, bytes) = (shard.Offset * operation.ElementBytes, shard.Count * operation.ElementBytes);
            path[k - first] = new(data + (nint)offset, bytes, Sum: k < WorldSize);
        }
        _pipeline.Run(operation, path, numbers);
    }

    private void TravelHalved(RingOperation operation, nint data, HalfSum half, int last)
    {
        var (own, isAllReduce) = (ShardOf(operation, WorldSize - 1), last >= WorldSize);
        var numbers = new RingHalves(
            IHalfFormat.Of(half.Type), (float*)data, (float*)TensorMemory.Pointer(half.Left), Halves(operation.Elements), own, isAllReduce);
        numbers.Leave(ShardOf(operation, 0));
        Travel(operation, (nint)_halves, 0, last, numbers);
        if (isAllReduce)
            for (var k = 0; k < WorldSize - 1; k++) numbers.Take(ShardOf(operation, k));
        GC.KeepAlive(half.Left);
    }

    /// <summary>Station k of a rank's way.</summary>
    private ShardRange ShardOf(RingOperation operation, int k) =>
        ShardRange.Of(operation.Elements, (Rank - 1 - k + 2 * WorldSize) % WorldSize, WorldSize);

    private ushort* Halves(long count)
    {
        if (count <= _halvesCount) return _halves;
        NativeMemory.AlignedFree(_halves);
        _halves = (ushort*)NativeMemory.AlignedAlloc((nuint)count * sizeof(ushort), 64);
        _halvesCount = count;
        return _halves;
    }

    /// <summary>n−1 hops instead of 2(n−1): every rank gets every buffer and sums them in the order of ranks.</summary>
    private void GatherAndSum(RingOperation operation, nint data)
    {
        var bytes = operation.Elements * sizeof(float);
        var path = new RingSegment[WorldSize];
        for (var k = 0; k < WorldSize; k++) path[k] = new((nint)Slot((Rank - k + WorldSize) % WorldSize), bytes, Sum: false);
        Buffer.MemoryCopy((void*)data, Slot(Rank), SmallBytes, bytes);
        _pipeline.Run(operation, path, RingFloats.Instance);
        for (var rank = 1; rank < WorldSize; rank++) Float32Sum.Add(Slot(0), Slot(rank), operation.Elements);
        Buffer.MemoryCopy(Slot(0), (void*)data, bytes, bytes);
    }

    private float* Slot(int rank) => (float*)((byte*)_small + (long)rank * SmallBytes);
}
