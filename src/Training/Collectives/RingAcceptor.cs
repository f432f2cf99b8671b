using System.Net.Sockets;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// Waits for the previous rank. Strangers and ranks of other generations are told who is here, which they take as a refusal, and
/// the wait goes on: a straggler of the last generation must not break this one.
/// </summary>
internal sealed class RingAcceptor(IReadOnlyList<Socket> listeners, RingHandshake own, int peer)
{
    /// <summary>Who connects speaks at once; a port scanner does not.</summary>
    private static readonly TimeSpan GreetingPatience = TimeSpan.FromSeconds(2);

    /// <param name="stop">Nobody is waited for any longer.</param>
    /// <param name="abort">Nobody is answered any longer.</param>
    /// <exception cref="CollectiveException">The previous rank did not come in time; says who came instead.</exception>
    public Socket Accept(CancellationToken stop, CancellationToken abort)
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
                if (Greet(listener, abort, out var refusal) is { } peerSocket) return peerSocket;
                stranger = $" Refused a peer: {refusal}.";
            }
        }
        throw new CollectiveException(
            $"rank {peer} did not come to rank {own.Rank} of generation {own.Generation} in time.{stranger}");
    }

    private Socket? Greet(Socket listener, CancellationToken abort, out string refusal)
    {
        refusal = "it hung up";
        Socket? socket = null;
        try
        {
            socket = RingSockets.Tune(listener.Accept());
            if (RingHandshake.Receive(socket, GreetingPatience, abort) is { } greeting)
            {
                own.Send(socket);
                if (own.Refuse(greeting, peer) is not { } reason) return socket;
                refusal = reason;
            }
        }
        catch (SocketException lost)
        {
            refusal = lost.Message;
        }
        catch (OperationCanceledException)
        {
            refusal = "it said nothing";
        }
        socket?.Dispose();
        return null;
    }
}
