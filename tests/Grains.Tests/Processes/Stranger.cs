using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>Somebody who connects to a silo's port with whatever certificate, believes any, and tells whether it was let in.</summary>
internal static class Stranger
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30), Quiet = TimeSpan.FromSeconds(2);

    /// <param name="files">Null: without a certificate.</param>
    /// <returns>Its own end of the connection, and whether the silo waits for what it has to say.</returns>
    public static async Task<(string Address, bool IsLetIn)> ConnectAsync(int port, TlsFiles? files)
    {
        using var socket = new TcpClient(AddressFamily.InterNetwork);
        await socket.ConnectAsync(IPAddress.Loopback, port);
        var address = $"{socket.Client.LocalEndPoint}";
        using var own = files is null ? null : X509Certificate2.CreateFromPemFile(files.Certificate, files.Key);
        await using var tls = new SslStream(socket.GetStream(), false, (_, _, _, _) => true);
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await tls.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions { TargetHost = "any", ClientCertificates = own is null ? null : [own] }, patience.Token);
            patience.CancelAfter(Quiet);
            return (address, await tls.ReadAsync(new byte[1], patience.Token) > 0); // a silo greets another first
        }
        catch (OperationCanceledException)
        {
            return (address, true);
        }
        catch (Exception refused) when (refused is IOException or AuthenticationException)
        {
            return (address, false);
        }
    }

    /// <summary>Speaks in the clear.</summary>
    public static async Task<string> SpeakAsync(int port)
    {
        using var socket = new TcpClient(AddressFamily.InterNetwork);
        await socket.ConnectAsync(IPAddress.Loopback, port);
        await socket.GetStream().WriteAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray());
        using var patience = new CancellationTokenSource(Patience);
        Assert.Equal(0, await socket.GetStream().ReadAsync(new byte[1], patience.Token));
        return $"{socket.Client.LocalEndPoint}";
    }
}
