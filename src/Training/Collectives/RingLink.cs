using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// A rank's two connections: it sends to the next rank only and receives from the previous one only. Nothing here blocks but
/// <see cref="Wait"/>. One thread works; <see cref="Abort"/> may come from any.
/// </summary>
internal sealed class RingLink : IDisposable
{
    private readonly Socket _next, _previous;
    private readonly List<Socket> _readable = [], _writable = [];
    private readonly int _rank, _worldSize;
    private volatile string? _broken;

    public RingLink(Socket next, Socket previous, int rank, int worldSize)
    {
        (_next, _previous, _rank, _worldSize) = (next, previous, rank, worldSize);
        _next.Blocking = _previous.Blocking = false;
    }

    public int NextRank => (_rank + 1) % _worldSize;
    public int PreviousRank => (_rank + _worldSize - 1) % _worldSize;

    /// <returns>Bytes taken; 0 when the kernel's buffer is full.</returns>
    public int TrySend(ReadOnlySpan<byte> data)
    {
        var sent = _next.Send(data, SocketFlags.None, out var error);
        return error is SocketError.Success or SocketError.WouldBlock
            ? sent
            : throw Lost(NextRank, error.ToString(), RingSockets.IsNetworks(error));
    }

    /// <returns>Bytes received; 0 when none are there yet.</returns>
    public int TryReceive(Span<byte> data)
    {
        var received = _previous.Receive(data, SocketFlags.None, out var error);
        return error switch
        {
            SocketError.WouldBlock => 0,
            SocketError.Success when received > 0 => received,
            SocketError.Success => throw Lost(PreviousRank, "closed by the peer"),
            _ => throw Lost(PreviousRank, error.ToString(), RingSockets.IsNetworks(error)),
        };
    }

    /// <summary>
    /// Blocks until there is something to receive or, if <paramref name="sending"/>, room to send.
    /// </summary>
    /// <param name="sending">There is something to send at once.</param>
    /// <param name="sendingLater">There will be: the next rank must stay. One that has all it needs may leave.</param>
    public void Wait(bool sending, bool sendingLater)
    {
        _readable.Clear();
        _writable.Clear();
        _readable.Add(_previous);
        if (sendingLater) _readable.Add(_next); // the next rank never writes: readable means gone
        if (sending) _writable.Add(_next);
        Socket.Select(_readable, _writable, null, -1);
        if (_readable.Contains(_next)) throw Lost(NextRank, "closed by the peer");
    }

    /// <summary>Throws the reason if the link is broken.</summary>
    public void ThrowIfBroken()
    {
        if (_broken is { } reason) throw new CollectiveException(reason);
    }

    /// <summary>Wakes a <see cref="Wait"/> in progress, which then fails, and tells both peers. The first reason counts.</summary>
    public void Abort(string reason)
    {
        if (Interlocked.CompareExchange(ref _broken, reason, null) is not null) return;
        Shutdown(_next);
        Shutdown(_previous);
    }

    public void Dispose()
    {
        _next.Dispose();
        _previous.Dispose();
    }

    /// <param name="isNetworks">The peer may be well; otherwise it has hung up, for a reason of its own.</param>
    private CollectiveException Lost(int peer, string cause, bool isNetworks = false) => _broken is { } reason
        ? new(reason)
        : new($"lost the connection to rank {peer}: {cause}", peer: isNetworks ? peer : null);

    private static void Shutdown(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
        {
            // The peer has hung up already, or the link is disposed: broken is broken.
        }
    }
}
