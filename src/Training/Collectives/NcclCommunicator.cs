using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// One rank's end of a non-blocking NCCL communicator. NCCL takes calls of one thread at a time, and refuses the next call until the
/// last one has settled: <see cref="Settle"/> is the one place that waits for it. When an operation returns, its kernel is on the
/// stream: not before that may an event be recorded behind it.
/// </summary>
/// <remarks>One thread operates; <see cref="Abort"/> and <see cref="Fault"/> may come from one other.</remarks>
internal sealed class NcclCommunicator
{
    /// <summary>A call into NCCL that takes longer is not coming back: abort it all the same.</summary>
    private static readonly TimeSpan CallPatience = TimeSpan.FromSeconds(0.5);

    private readonly Lock _calls = new(); // held during each call into NCCL, and between the calls of a group
    private readonly NcclLibrary _nccl;
    private readonly int _rank, _worldSize;
    private readonly Action _check;
    private nint _handle;
    private bool _settled;

    /// <param name="nccl">The library.</param>
    /// <param name="id">Made by rank 0, of this communicator only.</param>
    /// <param name="rank">This rank; the calling thread's device is its device.</param>
    /// <param name="worldSize">All ranks come here at once.</param>
    /// <param name="check">Called while waiting; throws when there is no more reason to.</param>
    /// <exception cref="CollectiveException">NCCL's reason.</exception>
    public NcclCommunicator(NcclLibrary nccl, in NcclUniqueId id, int rank, int worldSize, Action check)
    {
        (_nccl, _rank, _worldSize, _check) = (nccl, rank, worldSize, check);
        try
        {
            Settle("ncclCommInitRankConfig", nccl.Init(out _handle, worldSize, id, rank));
        }
        catch
        {
            Abort();
            throw;
        }
    }

    /// <summary>Sums <paramref name="count"/> float32 over all ranks, in place.</summary>
    public void AllReduce(nint data, long count, nint stream) =>
        Call("ncclAllReduce", () => _nccl.AllReduce(data, data, count, NcclType.Float32, _handle, stream));

    /// <summary>Sums float32 in place; afterwards this rank's <see cref="ShardRange.Of"/> holds the sum.</summary>
    public void ReduceScatter(nint data, long count, nint stream)
    {
        if (count % _worldSize == 0)
        {
            var own = Shard(data, count, _rank, sizeof(float));
            Call("ncclReduceScatter", () => _nccl.ReduceScatter(data, own.Data, own.Count, NcclType.Float32, _handle, stream));
            return;
        }
        Group("ncclReduce", root => // shards of unlike sizes: one sum a shard, all of them in one kernel
        {
            var (shard, size) = Shard(data, count, root, sizeof(float));
            return size == 0 ? NcclResult.Success : _nccl.Reduce(shard, shard, size, NcclType.Float32, root, _handle, stream);
        });
    }

    /// <summary>Brings every rank's <see cref="ShardRange.Of"/> to all, in place.</summary>
    public void AllGather(nint data, long count, int elementBytes, nint stream)
    {
        if (count % _worldSize == 0)
        {
            var own = Shard(data, count, _rank, elementBytes);
            Call("ncclAllGather", () => _nccl.AllGather(own.Data, data, own.Count * elementBytes, NcclType.Byte, _handle, stream));
            return;
        }
        Group("ncclBroadcast", root =>
        {
            var (shard, size) = Shard(data, count, root, elementBytes);
            return size == 0
                ? NcclResult.Success
                : _nccl.Broadcast(shard, shard, size * elementBytes, NcclType.Byte, root, _handle, stream);
        });
    }

    /// <summary>Gives all ranks the bytes of <paramref name="root"/>, in place.</summary>
    public void Broadcast(nint data, long bytes, int root, nint stream) =>
        Call("ncclBroadcast", () => _nccl.Broadcast(data, data, bytes, NcclType.Byte, root, _handle, stream));

    /// <summary>What has befallen the communicator while nobody called it, e.g. a network that is gone; null if nothing has.</summary>
    public string? Fault()
    {
        lock (_calls)
        {
            if (_handle == 0 || !_settled) return null; // whoever is settling sees it
            var result = _nccl.GetAsyncError(_handle, out var state);
            if (result == NcclResult.Success) result = state;
            return result is NcclResult.Success or NcclResult.InProgress ? null : $"NCCL reports {_nccl.Explain(result)}";
        }
    }

    /// <summary>
    /// Takes the kernels off the device and frees the communicator. Waits for them: on a device that no longer answers, for ever.
    /// Idempotent.
    /// </summary>
    public void Abort()
    {
        var entered = _calls.TryEnter(CallPatience);
        try
        {
            var handle = Interlocked.Exchange(ref _handle, 0);
            if (handle != 0) _nccl.Abort(handle); // final, whatever it says
        }
        finally
        {
            if (entered) _calls.Exit();
        }
    }

    /// <summary>Ends it in good order: all ranks have made all calls.</summary>
    public void Finish()
    {
        Call("ncclCommFinalize", () => _nccl.Finalize(_handle));
        lock (_calls)
        {
            var handle = Interlocked.Exchange(ref _handle, 0);
            if (handle != 0) Check("ncclCommDestroy", _nccl.Destroy(handle));
        }
    }

    private void Call(string name, Func<NcclResult> call)
    {
        NcclResult result;
        lock (_calls)
        {
            ThrowIfGone(name);
            _settled = false;
            result = call();
        }
        Settle(name, result);
    }

    private void Group(string name, Func<int, NcclResult> ofRoot)
    {
        NcclResult result;
        lock (_calls)
        {
            ThrowIfGone(name);
            _settled = false;
            Check("ncclGroupStart", _nccl.GroupStart());
            var inGroup = NcclResult.Success;
            for (var root = 0; root < _worldSize && inGroup is NcclResult.Success or NcclResult.InProgress; root++) inGroup = ofRoot(root);
            result = _nccl.GroupEnd(); // also after a failure: the thread's next call would still be in the group
            if (inGroup is not (NcclResult.Success or NcclResult.InProgress)) result = inGroup;
        }
        Settle(name, result);
    }

    /// <summary>Waits until NCCL has done what it said is in progress. Any error is the communicator's end.</summary>
    private void Settle(string name, NcclResult result)
    {
        var spin = new Patience();
        while (result == NcclResult.InProgress)
        {
            _check();
            lock (_calls)
            {
                ThrowIfGone(name);
                var asked = _nccl.GetAsyncError(_handle, out result);
                if (asked != NcclResult.Success) result = asked;
            }
            if (result == NcclResult.InProgress) spin.Once();
        }
        Check(name, result);
        _settled = true;
    }

    private void ThrowIfGone(string name)
    {
        if (_handle != 0) return;
        _check();
        throw new CollectiveException($"{name}: the communicator is aborted");
    }

    private void Check(string name, NcclResult result)
    {
        if (result != NcclResult.Success) throw new CollectiveException($"{name} failed: {_nccl.Explain(result)}");
    }

    private (nint Data, long Count) Shard(nint data, long count, int rank, int elementBytes)
    {
        var shard = ShardRange.Of(count, rank, _worldSize);
        return (data + (nint)(shard.Offset * elementBytes), shard.Count);
    }
}
