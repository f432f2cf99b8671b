using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// One connection of a <see cref="RingChannels"/>. Never waits for a peer longer than a poll without looking at the token.
/// </summary>
internal sealed class RingChannel(RankConnection connection) : IPeerChannel
{
    public void Send(ReadOnlySpan<byte> data, CancellationToken stop)
    {
        try
        {
            connection.Send(data, stop);
        }
        catch (SocketException lost)
        {
            throw Lost(lost);
        }
    }

    public void Receive(Span<byte> data, CancellationToken stop)
    {
        try
        {
            while (data.Length > 0)
            {
                var received = connection.TryReceive(data);
                if (received == RankConnection.Gone) throw new IOException("the peer has closed the connection");
                data = data[received..];
                if (received > 0) continue;
                stop.ThrowIfCancellationRequested();
                connection.Socket.Poll(RingSockets.PollInterval, SelectMode.SelectRead);
            }
        }
        catch (SocketException lost)
        {
            throw Lost(lost);
        }
    }

    public void Dispose() => connection.Dispose();

    private static IOException Lost(SocketException error) => new($"the connection broke: {error.SocketErrorCode}", error);
}
