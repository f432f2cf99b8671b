using System.Net.Security;
using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>TLS between ranks of two machines. <see cref="TlsHandshake"/> makes them.</summary>
internal sealed class TlsConnection : RankConnection
{
    /// <summary>Most that is encrypted ahead of the kernel, so that the other direction gets its turn.</summary>
    private const int SendBytes = 128 << 10;

    private readonly TlsPipe _pipe = new();
    private readonly SslStream _tls;
    private readonly byte[] _plain = GC.AllocateUninitializedArray<byte>(64 << 10);
    private ValueTask<int> _reading; // ends inside TlsPipe.Feed
    private bool _isReading, _hasEnded;
    private int _from, _until;       // of what was decrypted and not taken

    /// <param name="socket">Connected; owned from here on.</param>
    public TlsConnection(Socket socket) : base(socket) => _tls = new(_pipe, leaveInnerStreamOpen: true);

    public override bool IsFlushed => _pipe.IsFlushed;

    /// <summary>Must be the first that is done.</summary>
    /// <param name="begin">Starts one end's handshake.</param>
    /// <param name="patience">Null waits until <paramref name="stop"/>.</param>
    /// <param name="stop">Ends the wait.</param>
    /// <exception cref="System.Security.Authentication.AuthenticationException">An end refuses the other.</exception>
    /// <exception cref="IOException">The other end hung up, or said what is no TLS.</exception>
    /// <exception cref="SocketException">The connection broke.</exception>
    /// <exception cref="TimeoutException">That took longer than <paramref name="patience"/>.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    public void ShakeHands(Func<SslStream, Task> begin, TimeSpan? patience, CancellationToken stop)
    {
        var (handshake, started) = (begin(_tls), Environment.TickCount64);
        while (true)
        {
            _pipe.Send(Socket); // an alert too, by which the other end knows that it was refused
            if (handshake.IsFaulted || (handshake.IsCompleted && _pipe.IsFlushed)) break;
            stop.ThrowIfCancellationRequested();
            if (Environment.TickCount64 - started > patience?.TotalMilliseconds) throw new TimeoutException();
            if (!_pipe.IsFlushed) Socket.Poll(RingSockets.PollInterval, SelectMode.SelectWrite);
            else if (!_pipe.Feed(Socket)) Socket.Poll(RingSockets.PollInterval, SelectMode.SelectRead);
        }
        handshake.GetAwaiter().GetResult(); // has ended: nothing waits
    }

    public override int TrySend(ReadOnlySpan<byte> data)
    {
        _pipe.Send(Socket);
        if (data.IsEmpty || !_pipe.IsFlushed) return 0;
        var taken = Math.Min(data.Length, SendBytes);
        _tls.Write(data[..taken]);
        _pipe.Send(Socket);
        return taken;
    }

    /// <summary>As much as there is: by records of 16 KiB, peers would wake each other for each.</summary>
    public override int TryReceive(Span<byte> data)
    {
        var filled = 0;
        while (filled < data.Length && (_from < _until || Decrypt()))
        {
            var count = Math.Min(data.Length - filled, _until - _from);
            _plain.AsSpan(_from, count).CopyTo(data[filled..]);
            (_from, filled) = (_from + count, filled + count);
        }
        return filled == 0 && _hasEnded ? Gone : filled;
    }

    public override void Dispose()
    {
        base.Dispose();
        _pipe.End();
        _tls.Dispose();
    }

    /// <returns>False if nothing is there, or nothing more will come.</returns>
    private bool Decrypt()
    {
        if (_hasEnded) return false;
        if (!_isReading) (_reading, _isReading) = (_tls.ReadAsync(_plain), true);
        while (!_reading.IsCompleted)
            if (!_pipe.Feed(Socket)) return false;
        _isReading = false;
        (_from, _until) = (0, _reading.GetAwaiter().GetResult()); // has ended: nothing waits
        _hasEnded = _until == 0;
        return !_hasEnded;
    }
}
