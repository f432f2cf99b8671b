using System.Net.Sockets;
using System.Security.Authentication;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// Waits for the previous rank. Strangers and ranks of other generations are told who is here, which they take as a refusal, and
/// the wait goes on: a straggler of the last generation must not break this one.
/// </summary>
/// <param name="listeners">Of this machine, and of all.</param>
/// <param name="own">What this rank says of itself.</param>
/// <param name="peer">The previous rank's number.</param>
/// <param name="tls">For a peer on another machine; null: in the clear.</param>
internal sealed class RingAcceptor(IReadOnlyList<Socket> listeners, RingHandshake own, int peer, IPeerTls? tls)
{
    /// <summary>Who connects speaks at once; a port scanner does not.</summary>
    private static readonly TimeSpan GreetingPatience = TimeSpan.FromSeconds(2);

    /// <summary>A machine with other load computes for a while, and the others wait in line.</summary>
    private static readonly TimeSpan HandshakePatience = TimeSpan.FromSeconds(5);

    /// <param name="stop">Nobody is waited for any longer.</param>
    /// <param name="abort">Nobody is answered any longer.</param>
    /// <exception cref="CollectiveException">The previous rank did not come in time; says who came instead.</exception>
    public RankConnection Accept(CancellationToken stop, CancellationToken abort)
    {
        var stranger = "";
        var ready = new List<Socket>();
        var isLast = false;
        while (!isLast && !abort.IsCancellationRequested)
        {
            isLast = stop.IsCancellationRequested; // whoever has come by now is still told why
            ready.Clear();
            ready.AddRange(listeners);
            Socket.Select(ready, null, null, RingSockets.PollInterval);
            foreach (var listener in ready)
            {
                if (Greet(listener, abort, out var refusal) is { } connection) return connection;
                stranger = $" Refused a peer: {refusal}.";
            }
        }
        throw new CollectiveException(
            $"rank {peer} did not come to rank {own.Rank} of generation {own.Generation} in time.{stranger}");
    }

    private RankConnection? Greet(Socket listener, CancellationToken abort, out string refusal)
    {
        refusal = "it hung up";
        RankConnection? connection = null;
        try
        {
            var socket = RingSockets.Tune(listener.Accept());
            connection = tls is null || socket.AddressFamily == AddressFamily.Unix
                ? new PlainConnection(socket)
                : new TlsHandshake(socket, tls).Take(HandshakePatience, abort);
            if (RingHandshake.Receive(connection, GreetingPatience, abort) is { } greeting)
            {
                own.Send(connection);
                if (own.Refuse(greeting, peer) is not { } reason) return connection;
                refusal = reason;
            }
        }
        catch (Exception failed) when (failed is SocketException or IOException or AuthenticationException)
        {
            refusal = failed.Message.TrimEnd('.');
        }
        catch (OperationCanceledException)
        {
            refusal = "it said nothing";
        }
        connection?.Dispose();
        return null;
    }
}
