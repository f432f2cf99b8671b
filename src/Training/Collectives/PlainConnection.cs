using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>In the clear: between ranks of one machine, or on a network that is trusted.</summary>
internal sealed class PlainConnection(Socket socket) : RankConnection(socket)
{
    public override int TrySend(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty) return 0;
        var sent = Socket.Send(data, SocketFlags.None, out var error);
        return error is SocketError.Success or SocketError.WouldBlock ? sent : throw new SocketException((int)error);
    }

    public override int TryReceive(Span<byte> data)
    {
        var received = Socket.Receive(data, SocketFlags.None, out var error);
        return error switch
        {
            SocketError.WouldBlock => 0,
            SocketError.Success => received > 0 ? received : Gone,
            _ => throw new SocketException((int)error),
        };
    }
}
