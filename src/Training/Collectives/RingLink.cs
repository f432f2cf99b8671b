using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// A rank's two connections: it sends to the next rank only and receives from the previous one only. Nothing here blocks but
/// <see cref="Wait"/>. One thread works; <see cref="Abort"/> may come from any.
/// </summary>
internal sealed class RingLink : IDisposable
{
    private readonly RankConnection _next, _previous;
    private readonly List<Socket> _readable = [], _writable = [];
    private readonly int _rank, _worldSize;
    private volatile string? _broken;

    public RingLink(RankConnection next, RankConnection previous, int rank, int worldSize) =>
        (_next, _previous, _rank, _worldSize) = (next, previous, rank, worldSize);

    public int NextRank => (_rank + 1) % _worldSize;
    public int PreviousRank => (_rank + _worldSize - 1) % _worldSize;

    /// <summary>Whether all that was taken is on its way; if not, <see cref="TrySend"/> goes on with it.</summary>
    public bool IsFlushed => _next.IsFlushed;

    /// <returns>Bytes taken; 0 when there is no room.</returns>
    public int TrySend(ReadOnlySpan<byte> data)
    {
        try
        {
            return _next.TrySend(data);
        }
        catch (Exception lost) when (lost is SocketException or IOException)
        {
            throw Lost(NextRank, lost);
        }
    }

    /// <returns>Bytes received; 0 when none are there yet.</returns>
    public int TryReceive(Span<byte> data) => Receive(_previous, PreviousRank, data);

    /// <summary>
    /// Blocks until there is something to receive or, if <paramref name="sending"/>, room to send.
    /// </summary>
    /// <param name="sending">There is something to send at once.</param>
    /// <param name="sendingLater">There will be: the next rank must stay. One that has all it needs may leave.</param>
    public void Wait(bool sending, bool sendingLater)
    {
        _readable.Clear();
        _writable.Clear();
        _readable.Add(_previous.Socket);
        if (sendingLater) _readable.Add(_next.Socket);
        if (sending) _writable.Add(_next.Socket);
        Socket.Select(_readable, _writable, null, -1);
        if (_readable.Contains(_next.Socket)) Receive(_next, NextRank, stackalloc byte[1]); // it never writes: gone, or TLS's own words
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
        _next.Shutdown(SocketShutdown.Both);
        _previous.Shutdown(SocketShutdown.Both);
    }

    public void Dispose()
    {
        _next.Dispose();
        _previous.Dispose();
    }

    private int Receive(RankConnection from, int peer, Span<byte> data)
    {
        try
        {
            return from.TryReceive(data) is not RankConnection.Gone and var received ? received : throw Lost(peer, null);
        }
        catch (Exception lost) when (lost is SocketException or IOException)
        {
            throw Lost(peer, lost);
        }
    }

    /// <param name="peer">Whose connection it was.</param>
    /// <param name="cause">Null if the peer has hung up, for a reason of its own. If it is the network, the peer may be well.</param>
    private CollectiveException Lost(int peer, Exception? cause)
    {
        if (_broken is { } reason) return new(reason);
        var socket = (cause as SocketException)?.SocketErrorCode;
        return new($"lost the connection to rank {peer}: {socket?.ToString() ?? cause?.Message.TrimEnd('.') ?? "closed by the peer"}",
            peer: socket is { } error && RingSockets.IsNetworks(error) ? peer : null);
    }
}
