using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// NCCL between GPUs, on a stream of its own beside libtorch's; host memory goes over a <see cref="TcpRing"/>, which for votes and small
/// messages is the quicker way as well. A thread of its own watches the peers and NCCL: it alone aborts, so that nothing can hold the
/// rank's thread for longer than a second.
/// </summary>
internal sealed class NcclCollective : ICollective
{
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan FinishPatience = TimeSpan.FromSeconds(0.1);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LeavePatience = TimeSpan.FromSeconds(5);

    private readonly Lock _call = new(); // held by the rank's thread inside a call: Dispose waits for it before it frees anything
    private readonly ICollective _ring;
    private readonly NcclWatch? _watch; // null in a world of one
    private readonly CudaStreams _streams;
    private readonly DeviceType _memory;
    private readonly NcclCommunicator _communicator;
    private readonly Thread _watcher;
    private readonly ManualResetEventSlim _leaving = new(), _stopped = new();
    private readonly Stack<nint> _events = new();
    private readonly nint _stream, _before;
    private volatile string? _broken, _abortReason;
    private volatile bool _closing;
    private int _underway; // operations started, and not yet waited for
    private long _operations;
    private long _leaveBy = long.MaxValue; // Environment.TickCount64
    private bool _disposed;

    /// <param name="meeting">The connected peers; owned from here on.</param>
    /// <param name="device">The rank's; becomes the calling thread's.</param>
    /// <param name="stop">Ends the wait for peers.</param>
    /// <exception cref="CollectiveException">NCCL's reason.</exception>
    public NcclCollective(NcclMeeting meeting, NcclDevice device, CancellationToken stop)
    {
        (_ring, _watch, _streams, _memory) = (meeting.Ring, meeting.Watch, device.Streams, device.Memory);
        _streams.Use();
        using var late = stop.Register(() => _ring.Abort("not all ranks came in time"));
        var id = meeting.ShareId(device.Nccl);
        (_stream, _before) = (_streams.CreateStream(), _streams.CreateEvent());
        try
        {
            _communicator = new(device.Nccl, id, Rank, WorldSize, () =>
            {
                if (_communicator is null) ThrowIfNobodyComes(stop);
                ThrowIfBroken();
            });
            meeting.Conclude();
        }
        catch
        {
            _communicator?.Abort();
            _streams.DestroyEvent(_before);
            _streams.DestroyStream(_stream);
            throw;
        }
        _watcher = new Thread(Watch) { Name = $"nccl-{Rank}", IsBackground = true };
        _watcher.Start();
    }

    public int Rank => _ring.Rank;
    public int WorldSize => _ring.WorldSize;
    public long Generation => _ring.Generation;
    public bool TakesDeviceMemory => true;

    public void AllReduce(Tensor buffer) => Run(RingOperationKind.AllReduce, buffer, _ring.AllReduce);

    public void ReduceScatter(Tensor buffer) => Run(RingOperationKind.ReduceScatter, buffer, _ring.ReduceScatter);

    public void AllGather(Tensor buffer) => Run(RingOperationKind.AllGather, buffer, _ring.AllGather);

    public IPendingSum BeginAllReduce(Tensor buffer, HalfSum? half = null) => Begin(RingOperationKind.AllReduce, buffer, half);

    public IPendingSum BeginReduceScatter(Tensor buffer, HalfSum? half = null) => Begin(RingOperationKind.ReduceScatter, buffer, half);

    /// <summary>
    /// Starts an operation behind what libtorch has been given so far, and beside what it is given next. All ranks start theirs in the
    /// same order. Rank's thread only.
    /// </summary>
    /// <param name="kind">Which of the three.</param>
    /// <param name="buffer">On the device; as of the blocking call.</param>
    /// <exception cref="CollectiveException">As of the blocking call.</exception>
    public NcclOperation Start(RingOperationKind kind, Tensor buffer)
    {
        CollectiveBuffer.Check(buffer, summed: kind != RingOperationKind.AllGather);
        if (buffer.device_type != _memory)
            throw new ArgumentException($"NCCL takes tensors of {_memory}, got one of {buffer.device_type}", nameof(buffer));
        lock (_call)
        {
            var empty = buffer.numel() == 0; // nothing to send, nothing to tell
            var operation = new RingOperation(kind, (int)buffer.ElementSize, empty ? _operations : ++_operations, buffer.numel());
            Interlocked.Increment(ref _underway);
            try
            {
                if (_closing) throw new CollectiveException("the collective is disposed");
                ThrowIfBroken();
                if (!empty) return new(this, operation, buffer, Enqueue(operation, TensorMemory.Pointer(buffer)));
                Interlocked.Decrement(ref _underway);
                return new(this, operation, buffer, 0);
            }
            catch (Exception failure) when (failure is CollectiveException or StreamException)
            {
                throw Ended(operation, failure);
            }
        }
    }

    public void Abort(string reason)
    {
        // Says more than the lost connection of a peer that was told before.
        Interlocked.CompareExchange(ref _abortReason, $"aborted: {reason}", null);
        Break(reason);
    }

    public void Dispose()
    {
        _closing = true;
        Interlocked.MemoryBarrier(); // either an operation that starts now sees it, or it is seen here
        if (Volatile.Read(ref _underway) > 0) Break("the collective is disposed"); // somebody waits: it would not end by itself
        _ring.Dispose();
        lock (_call)
        {
            if (_disposed) return;
            _disposed = true;
            Leave();
            Break("the collective is disposed");
            _leaving.Set();
            if (!_watcher.Join(StopPatience)) return; // inside NCCL, on a device that does not answer: what it uses must outlive it
            _watch?.Dispose();
            _streams.Use();
            foreach (var happening in _events.Append(_before)) _streams.DestroyEvent(happening);
            _streams.DestroyStream(_stream);
        }
    }

    /// <summary>See <see cref="NcclOperation.Wait"/>.</summary>
    internal void Wait(NcclOperation operation)
    {
        lock (_call)
        {
            if (operation.Happening == 0) return;
            try
            {
                ThrowIfBroken();
                for (var patience = new Patience(); !_streams.IsPassed(operation.Happening); patience.Once()) ThrowIfBroken();
                ThrowIfBroken(); // an aborted kernel too ends, with half of the work done
            }
            catch (Exception failure) when (failure is CollectiveException or StreamException)
            {
                throw Ended(operation.Called, failure);
            }
            _events.Push(operation.Happening);
            operation.Happening = 0;
            Interlocked.Decrement(ref _underway);
        }
    }

    private NcclOperation Begin(RingOperationKind kind, Tensor buffer, HalfSum? half) =>
        half is null ? Start(kind, buffer) : throw new NotSupportedException("NCCL carries float32 alone");

    private void Run(RingOperationKind kind, Tensor buffer, Action<Tensor> onHost)
    {
        if (buffer.device_type == _memory)
        {
            Start(kind, buffer).Wait();
            return;
        }
        try
        {
            onHost(buffer);
        }
        catch (CollectiveException failure)
        {
            Break(failure.Message.TrimEnd('.')); // NCCL's peers must not wait for a rank that gives up
            throw;
        }
    }

    private nint Enqueue(RingOperation operation, nint data)
    {
        if (_watch?.Announce(operation) is { } reason) throw new CollectiveException(reason);
        _streams.Record(_before, _streams.Current());
        _streams.Wait(_stream, _before);
        switch (operation.Kind)
        {
            case RingOperationKind.AllReduce: _communicator.AllReduce(data, operation.Elements, _stream); break;
            case RingOperationKind.ReduceScatter: _communicator.ReduceScatter(data, operation.Elements, _stream); break;
            default: _communicator.AllGather(data, operation.Elements, operation.ElementBytes, _stream); break;
        }
        var after = _events.Count > 0 ? _events.Pop() : _streams.CreateEvent();
        _streams.Record(after, _stream);
        return after;
    }

    /// <summary>The watcher's thread.</summary>
    private void Watch()
    {
        try
        {
            _streams.Use();
            while (!_leaving.IsSet && _broken is null)
            {
                var reason = _watch is null ? Idle() : _watch.Look(LookInterval);
                if (reason is not null) LetFinish();
                else if (Volatile.Read(ref _underway) > 0) reason = _communicator.Fault();
                if (reason is not null) Break(reason);
            }
            if (_broken is not null) _communicator.Abort();
            _stopped.Set();
        }
        catch (StreamException failure)
        {
            Break(failure.Message);
        }
    }

    /// <summary>
    /// A peer that left may have done its part of the operation underway: it is over when what comes next cannot be. The next rank is told
    /// at once, or a long ring would take its time to fall.
    /// </summary>
    private void LetFinish()
    {
        _watch?.HangUp();
        var start = Environment.TickCount64;
        while (_broken is null && Volatile.Read(ref _underway) > 0 && Environment.TickCount64 - start < FinishPatience.TotalMilliseconds)
            Thread.Sleep(1);
    }

    private string? Idle()
    {
        _leaving.Wait(LookInterval);
        return null;
    }

    private void Leave()
    {
        if (_broken is not null) return;
        try
        {
            _streams.Use(); // whoever disposes need not be the rank's thread
            _watch?.Leave();
            _leaveBy = Environment.TickCount64 + (long)LeavePatience.TotalMilliseconds;
            _communicator.Finish();
        }
        catch (Exception failure) when (failure is CollectiveException or StreamException)
        {
            Break(failure.Message); // nobody is left to tell: what good order does not free, an abort does
        }
    }

    /// <summary>The first reason counts. Hangs up at once, so that peers know; NCCL is the watcher's.</summary>
    private void Break(string reason)
    {
        if (Interlocked.CompareExchange(ref _broken, reason, null) is not null) return;
        _ring.Abort(reason);
        _watch?.HangUp();
    }

    private void ThrowIfBroken()
    {
        if (_broken is { } reason) throw new CollectiveException(_abortReason ?? reason);
        if (Environment.TickCount64 > _leaveBy) throw new CollectiveException("NCCL does not let go");
    }

    private void ThrowIfNobodyComes(CancellationToken stop)
    {
        if (_watch?.Look(TimeSpan.Zero) is { } lost) throw new CollectiveException(lost);
        if (stop.IsCancellationRequested) throw new CollectiveException("not all ranks came in time");
    }

    /// <summary>Returns when the device has let go of the buffers: they are freed while the exception is on its way.</summary>
    private CollectiveException Ended(RingOperation operation, Exception failure)
    {
        Break(failure.Message);
        var stuck = _stopped.Wait(StopPatience) && IsDrained() ? "" : "; the device has not stopped within a second: end this process";
        return new($"{operation.Kind} {operation.Number} of rank {Rank} of {WorldSize} (generation {Generation}): "
            + $"{_abortReason ?? _broken}{stuck}.", failure);
    }

    private bool IsDrained()
    {
        if (_disposed) return true;
        try
        {
            var start = Environment.TickCount64;
            for (var patience = new Patience(); !_streams.IsIdle(_stream); patience.Once())
                if (Environment.TickCount64 - start > StopPatience.TotalMilliseconds) return false;
            return true;
        }
        catch (StreamException)
        {
            return true; // a dead context runs nothing
        }
    }
}
