using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// Moves a path of segments around the ring: sends segments 0 … K−1, receives segments 1 … K. A segment goes on to the next rank
/// while it is still arriving from the previous one, so all links are busy all the time and no rank waits for a whole segment.
/// One thread does both directions: a second one would take a core that another rank may need.
/// </summary>
internal sealed unsafe class RingPipeline(RingLink link) : IDisposable
{
    /// <summary>Small enough to be in cache when it is summed, large enough that system calls do not count.</summary>
    private const int ArrivalBytes = 256 << 10;

    /// <summary>Most bytes offered to one send, so that the other direction gets its turn.</summary>
    private const int SendBytes = 1 << 20;

    /// <summary>Data that leaves in one piece with the header: a small message costs its receiver one wake-up.</summary>
    private const int PiggybackBytes = 16 << 10;

    private readonly byte* _arrivals = (byte*)NativeMemory.AlignedAlloc(ArrivalBytes, 64);
    private readonly byte* _departure = (byte*)NativeMemory.AlignedAlloc(RingOperation.Bytes + PiggybackBytes, 64);
    private RingSegment[] _path = [];
    private RingOperation _mine;
    private int _leaving, _left;            // departure block: bytes in it, and of those sent
    private int _headerBytes;               // of the previous rank's header
    private int _sending, _receiving;       // segments in work
    private long _sent, _ready;             // bytes done of each; ready bytes are summed and may be sent on
    private int _fraction;                  // bytes of a number that has not wholly arrived
    private IRingNumbers _numbers = RingFloats.Instance;

    private bool AllSent => _left == _leaving && _sending == _path.Length - 1 && link.IsFlushed;
    private bool AllReceived => _headerBytes == RingOperation.Bytes && _receiving == _path.Length;

    /// <param name="numbers">How what arrives at a segment that sums is added.</param>
    /// <exception cref="CollectiveException">A peer is gone, or its operation is another one.</exception>
    public void Run(RingOperation operation, RingSegment[] path, IRingNumbers numbers)
    {
        _numbers = numbers;
        Start(operation, path);
        try
        {
            while (!AllSent || !AllReceived)
            {
                var moved = (AllSent ? 0 : TrySend()) + (AllReceived ? 0 : TryReceive());
                if (moved == 0) link.Wait(CanSend, sendingLater: !AllSent);
            }
        }
        catch (CollectiveException) when (_headerBytes < RingOperation.Bytes)
        {
            TryReceiveHeader(); // a peer that left because we disagree said so before it left
            throw;
        }
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_arrivals);
        NativeMemory.AlignedFree(_departure);
    }

    private bool CanSend => !link.IsFlushed || _left < _leaving || (_sending < _path.Length - 1 && Sendable > 0);

    /// <summary>Bytes of the segment in work that may go now: all, or what has arrived of it.</summary>
    private long Sendable => (_sending < _receiving ? _path[_sending].Bytes : _sending == _receiving ? _ready : 0) - _sent;

    private void Start(RingOperation operation, RingSegment[] path)
    {
        (_mine, _path) = (operation, path);
        var first = (int)Math.Min(path[0].Bytes, PiggybackBytes);
        MemoryMarshal.Write(new Span<byte>(_departure, RingOperation.Bytes), in operation);
        Buffer.MemoryCopy((void*)path[0].Data, _departure + RingOperation.Bytes, PiggybackBytes, first);
        (_leaving, _left, _headerBytes) = (RingOperation.Bytes + first, 0, 0);
        (_sending, _sent, _receiving, _ready, _fraction) = (0, first, 1, 0, 0);
        SkipDone();
    }

    private int TrySend()
    {
        if (_left < _leaving)
        {
            var head = link.TrySend(new(_departure + _left, _leaving - _left));
            _left += head;
            if (_left < _leaving) return head;
        }
        if (_sending == _path.Length - 1 || Sendable == 0) return Flush();
        var count = link.TrySend(new((byte*)_path[_sending].Data + _sent, (int)Math.Min(Sendable, SendBytes)));
        _sent += count;
        SkipDone();
        return count;
    }

    /// <returns>1 if that was the last of it: there may be nothing left to wait for.</returns>
    private int Flush()
    {
        if (link.IsFlushed) return 0;
        link.TrySend([]);
        return link.IsFlushed ? 1 : 0;
    }

    private int TryReceive()
    {
        if (_headerBytes < RingOperation.Bytes) return TryReceiveHeader();
        var segment = _path[_receiving];
        var wanted = segment.Bytes - _ready;
        var count = segment.Sum
            ? link.TryReceive(new(_arrivals + _fraction, (int)Math.Min(wanted, ArrivalBytes) - _fraction))
            : link.TryReceive(new((byte*)segment.Data + _ready, (int)Math.Min(wanted, SendBytes)));
        _ready += segment.Sum ? Sum((byte*)segment.Data + _ready, _fraction + count) : count;
        SkipDone();
        return count;
    }

    /// <summary>Adds the whole numbers that arrived to the segment and keeps the rest for the next round.</summary>
    private int Sum(byte* target, int arrived)
    {
        _fraction = arrived % _mine.ElementBytes;
        var whole = arrived - _fraction;
        _numbers.Add(target, _arrivals, whole / _mine.ElementBytes);
        new Span<byte>(_arrivals + whole, _fraction).CopyTo(new(_arrivals, _fraction));
        return whole;
    }

    /// <summary>Moves on from finished segments, and over empty ones: there are fewer elements than ranks.</summary>
    private void SkipDone()
    {
        while (_receiving < _path.Length && _ready == _path[_receiving].Bytes) (_receiving, _ready) = (_receiving + 1, 0);
        var last = _path.Length - 1; // is received only
        while (_sending < last && _sending < _receiving && _sent == _path[_sending].Bytes) (_sending, _sent) = (_sending + 1, 0);
    }

    private int TryReceiveHeader()
    {
        var kept = new Span<byte>(_arrivals, RingOperation.Bytes); // the data's buffer is free until the header is whole
        var count = link.TryReceive(kept[_headerBytes..]);
        _headerBytes += count;
        if (_headerBytes < RingOperation.Bytes) return count;
        var theirs = MemoryMarshal.Read<RingOperation>(kept);
        if (theirs == _mine) return count;
        throw new CollectiveException(
            $"rank {link.PreviousRank} called {theirs}, this rank called {_mine}; all ranks must make the same calls");
    }
}
