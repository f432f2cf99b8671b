using System.Net.Sockets;
using System.Security.Authentication;

namespace Phi3VCluster.Training.Collectives;

/// <summary>Goes to the next rank.</summary>
internal static class RingConnector
{
    /// <summary>A peer answers when its own rank connects; it may still be loading.</summary>
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromDays(1);

    /// <param name="to">The next rank's address.</param>
    /// <param name="greeting">What this rank says of itself.</param>
    /// <param name="peer">The next rank's number.</param>
    /// <param name="tls">For a peer on another machine; null: in the clear.</param>
    /// <param name="stop">Ends the wait for an answer.</param>
    /// <exception cref="CollectiveException">
    /// The peer is not there, is of another generation, or did not answer before <paramref name="stop"/>.
    /// </exception>
    public static RankConnection Connect(RingAddress to, RingHandshake greeting, int peer, IPeerTls? tls, CancellationToken stop)
    {
        RankConnection? connection = null;
        var (where, who) = ($"rank {peer} at {to.Host}:{to.Port}", $"rank {greeting.Rank} of generation {greeting.Generation}");
        try
        {
            connection = RingSockets.TryConnectLocal(to.LocalName) is { } local
                ? new PlainConnection(local)
                : Far(to, tls, where, who, stop);
            greeting.Send(connection);
            var refusal = RingHandshake.Receive(connection, AnswerPatience, stop) is { } answer ? greeting.Refuse(answer, peer)
                : connection is TlsConnection ? "it hung up; if it refuses this node's certificate, its node's log says why" : "it hung up";
            return refusal is null ? connection : throw new CollectiveException($"{where} is not the peer of {who}: {refusal}.");
        }
        catch (OperationCanceledException late)
        {
            connection?.Dispose();
            throw new CollectiveException($"{where} did not answer {who} in time.", late, peer);
        }
        catch (SocketException lost)
        {
            connection?.Dispose();
            var isRefused = lost.SocketErrorCode == SocketError.ConnectionRefused;
            throw new CollectiveException($"{where} cannot be reached by {who}: {lost.Message}.", lost,
                isRefused || RingSockets.IsNetworks(lost.SocketErrorCode) ? peer : null, mayBeGone: isRefused);
        }
        catch (Exception refused) when (refused is AuthenticationException or IOException)
        {
            connection?.Dispose();
            throw new CollectiveException($"{where} and {who} do not trust each other: {refused.Message.TrimEnd('.')}.", refused);
        }
        catch (CollectiveException)
        {
            connection?.Dispose();
            throw;
        }
    }

    private static RankConnection Far(RingAddress to, IPeerTls? tls, string where, string who, CancellationToken stop)
    {
        if (to.IsTls != (tls is not null))
            throw new CollectiveException(to.IsTls
                ? $"{where} asks for TLS, and the node of {who} has no certificate; give all silos --tls-certificate."
                : $"{where} speaks no TLS, and the node of {who} asks for it; give all silos --tls-certificate.");
        var socket = RingSockets.ConnectTcp(to.Host, to.Port, stop);
        return tls is null ? new PlainConnection(socket) : new TlsHandshake(socket, tls).Go(stop);
    }
}
