using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// How a connection between two machines becomes encrypted: both ends show certificates. Who is refused is in the log of the node that
/// refuses, by address and subject.
/// </summary>
/// <param name="socket">Connected; disposed if this fails.</param>
/// <param name="tls">Who we are, and whom we believe.</param>
internal sealed class TlsHandshake(Socket socket, IPeerTls tls)
{
    private const byte HandshakeRecord = 0x16; // every TLS connection's first byte

    private readonly string _address = $"{socket.RemoteEndPoint}";
    private (string Subject, string Reason)? _refusal; // ours of the other end

    /// <summary>As the end that came. The other one answers when its rank connects.</summary>
    /// <param name="stop">Ends the wait.</param>
    /// <exception cref="AuthenticationException">One end refuses the other; why.</exception>
    /// <exception cref="SocketException">The connection broke.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    public RankConnection Go(CancellationToken stop)
    {
        var options = new SslClientAuthenticationOptions();
        tls.Prepare(options, (subject, reason) => _refusal = (subject, reason));
        return Shake(stream => stream.AuthenticateAsClientAsync(options, CancellationToken.None), patience: null, stop,
            "Does not talk to", "it speaks no TLS, or does not believe this node's certificate");
    }

    /// <summary>As the end that was come to.</summary>
    /// <param name="patience">For the first word, and for the rest.</param>
    /// <param name="stop">Ends the wait.</param>
    /// <inheritdoc cref="Go" path="/exception"/>
    public RankConnection Take(TimeSpan patience, CancellationToken stop)
    {
        const string Refused = "Refused at a rank's port:";
        if (FirstByte(patience, stop) != HandshakeRecord) throw Refuse(Refused, "it speaks no TLS");
        var options = new SslServerAuthenticationOptions();
        tls.Prepare(options, (subject, reason) => _refusal = (subject, reason));
        return Shake(stream => stream.AuthenticateAsServerAsync(options, CancellationToken.None), patience, stop,
            Refused, "the handshake came to no end; it may not believe this node's certificate");
    }

    private TlsConnection Shake(Func<SslStream, Task> begin, TimeSpan? patience, CancellationToken stop, string verb, string otherwise)
    {
        var connection = new TlsConnection(socket);
        try
        {
            connection.ShakeHands(begin, patience, stop);
            return connection;
        }
        catch (Exception failed) when (failed is AuthenticationException or IOException or TimeoutException)
        {
            connection.Dispose();
            throw Refuse(verb, otherwise, failed);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private AuthenticationException Refuse(string verb, string otherwise, Exception? cause = null)
    {
        var (subject, reason) = _refusal ?? ("", otherwise);
        socket.Dispose();
        tls.Note($"{verb} {_address}{(subject.Length == 0 ? "" : $" ({subject})")}: {reason}.");
        return new(subject.Length == 0 ? reason : $"{subject}: {reason}", cause);
    }

    /// <summary>It stays to be read. One that says nothing only asked for the port: nobody is refused.</summary>
    private byte FirstByte(TimeSpan patience, CancellationToken stop)
    {
        var first = new byte[1];
        for (var waited = TimeSpan.Zero; waited < patience; waited += RingSockets.PollInterval)
        {
            if (stop.IsCancellationRequested) break;
            if (!socket.Poll(RingSockets.PollInterval, SelectMode.SelectRead)) continue;
            var count = socket.Receive(first, SocketFlags.Peek);
            if (count == 1) return first[0];
            socket.Dispose();
            throw new AuthenticationException("it hung up");
        }
        socket.Dispose();
        throw new AuthenticationException("it said nothing");
    }
}
