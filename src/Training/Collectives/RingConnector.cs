using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>Goes to the next rank.</summary>
internal static class RingConnector
{
    /// <summary>A peer answers when its own rank connects; it may still be loading.</summary>
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromDays(1);

    /// <param name="to">The next rank's address.</param>
    /// <param name="greeting">What this rank says of itself.</param>
    /// <param name="peer">The next rank's number.</param>
    /// <param name="stop">Ends the wait for an answer.</param>
    /// <exception cref="CollectiveException">
    /// The peer is not there, is of another generation, or did not answer before <paramref name="stop"/>.
    /// </exception>
    public static Socket Connect(RingAddress to, RingHandshake greeting, int peer, CancellationToken stop)
    {
        Socket? socket = null;
        var (where, who) = ($"rank {peer} at {to.Host}:{to.Port}", $"rank {greeting.Rank} of generation {greeting.Generation}");
        try
        {
            socket = RingSockets.TryConnectLocal(to.LocalName) ?? RingSockets.ConnectTcp(to.Host, to.Port, stop);
            greeting.Send(socket);
            var refusal = RingHandshake.Receive(socket, AnswerPatience, stop) is { } answer ? greeting.Refuse(answer, peer) : "it hung up";
            return refusal is null ? socket : throw new CollectiveException($"{where} is not the peer of {who}: {refusal}.");
        }
        catch (OperationCanceledException late)
        {
            socket?.Dispose();
            throw new CollectiveException($"{where} did not answer {who} in time.", late, peer);
        }
        catch (SocketException lost)
        {
            socket?.Dispose();
            throw new CollectiveException($"{where} cannot be reached by {who}: {lost.Message}.", lost,
                RingSockets.IsNetworks(lost.SocketErrorCode) ? peer : null);
        }
        catch (CollectiveException)
        {
            socket?.Dispose();
            throw;
        }
    }
}
