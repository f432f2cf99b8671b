using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>Somebody with a certificate of its own who believes any, as one would who wants to read along.</summary>
internal sealed class Stranger(X509Certificate2 shown) : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Connects, and waits until it is hung up on.</summary>
    /// <returns>Its own end of the connection.</returns>
    public string Come(int port)
    {
        using var socket = new TcpClient(AddressFamily.InterNetwork);
        socket.Connect(IPAddress.Loopback, port);
        var address = $"{socket.Client.LocalEndPoint}";
        using var tls = new SslStream(socket.GetStream(), false, (_, _, _, _) => true);
        try
        {
            tls.AuthenticateAsClient(new SslClientAuthenticationOptions { TargetHost = "any", ClientCertificates = [shown] });
            Assert.Equal(0, tls.Read(new byte[1]));
        }
        catch (Exception refused) when (refused is IOException or AuthenticationException)
        {
            // As it must be.
        }
        return address;
    }

    /// <summary>Answers whoever comes.</summary>
    /// <returns>The port where it does.</returns>
    public int Listen()
    {
        _listener.Start();
        new Thread(Answer) { IsBackground = true }.Start();
        return Port;
    }

    public void Dispose() => _listener.Dispose();

    private void Answer()
    {
        try
        {
            using var socket = _listener.AcceptTcpClient();
            using var tls = new SslStream(socket.GetStream(), false, (_, _, _, _) => true);
            tls.AuthenticateAsServer(new SslServerAuthenticationOptions { ServerCertificate = shown, ClientCertificateRequired = true });
            _ = tls.Read(new byte[1]);
        }
        catch (Exception ended) when (ended is IOException or AuthenticationException or SocketException)
        {
            // Hung up on, or the test is over.
        }
    }
}
