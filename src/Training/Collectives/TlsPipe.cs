using System.Net.Sockets;
using System.Threading.Tasks.Sources;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// What an <see cref="System.Net.Security.SslStream"/> takes for its network, worked by hand: what it writes is kept until
/// <see cref="Send"/>, and a read that finds nothing goes on inside <see cref="Feed"/>, on the thread that calls it. So encryption
/// neither blocks nor leaves the rank's thread, and the socket never gets to .NET's event thread (<see cref="RingSockets"/>).
/// </summary>
internal sealed class TlsPipe : Stream, IValueTaskSource<int>
{
    private const int ArrivalBytes = 256 << 10;

    private readonly byte[] _arrived = GC.AllocateUninitializedArray<byte>(ArrivalBytes);
    private byte[] _leaving = GC.AllocateUninitializedArray<byte>(64 << 10);
    private int _from, _until;     // of what has arrived and was not read
    private int _sent, _written;   // of what leaves
    private ManualResetValueTaskSourceCore<int> _read; // continues where it is completed
    private Memory<byte> _asked;
    private bool _isAsked, _hasEnded;

    public bool IsFlushed => _sent == _written;

    /// <summary>Gives the socket what it takes.</summary>
    /// <exception cref="SocketException">The connection broke.</exception>
    public void Send(Socket socket)
    {
        while (!IsFlushed)
        {
            var sent = socket.Send(_leaving.AsSpan(_sent, _written - _sent), SocketFlags.None, out var error);
            if (error == SocketError.WouldBlock) return;
            if (error != SocketError.Success) throw new SocketException((int)error);
            _sent += sent;
        }
        (_sent, _written) = (0, 0);
    }

    /// <summary>Lets the read that waits go on with what the socket has.</summary>
    /// <returns>False if it has nothing yet.</returns>
    /// <exception cref="SocketException">The connection broke.</exception>
    public bool Feed(Socket socket)
    {
        if (!_isAsked) throw new InvalidOperationException("nobody reads, or on another thread");
        var received = socket.Receive(_arrived, SocketFlags.None, out var error);
        if (error == SocketError.WouldBlock) return false;
        if (error != SocketError.Success) throw new SocketException((int)error);
        (_from, _until, _hasEnded) = (0, received, received == 0);
        _isAsked = false;
        _read.SetResult(Take(_asked.Span));
        return true;
    }

    /// <summary>A read that waits ends, as at the connection's end: what it holds is given back.</summary>
    public void End()
    {
        _hasEnded = true;
        if (!_isAsked) return;
        _isAsked = false;
        _read.SetResult(0);
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_from < _until || _hasEnded || buffer.IsEmpty) return new(Take(buffer.Span));
        _read.Reset();
        (_asked, _isAsked) = (buffer, true);
        return new(this, _read.Version);
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (_leaving.Length < _written + buffer.Length) Array.Resize(ref _leaving, Math.Max(2 * _leaving.Length, _written + buffer.Length));
        buffer.CopyTo(_leaving.AsSpan(_written));
        _written += buffer.Length;
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Write(buffer.Span);
        return default;
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override bool CanRead => true;
    public override bool CanWrite => true;
    public override bool CanSeek => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException(); // it would have to wait
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    int IValueTaskSource<int>.GetResult(short token) => _read.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _read.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _read.OnCompleted(continuation, state, token, flags & ~ValueTaskSourceOnCompletedFlags.UseSchedulingContext);

    private int Take(Span<byte> buffer)
    {
        var count = Math.Min(buffer.Length, _until - _from);
        _arrived.AsSpan(_from, count).CopyTo(buffer);
        _from += count;
        return count;
    }
}
