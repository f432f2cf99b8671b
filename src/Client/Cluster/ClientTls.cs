using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Orleans.Configuration;
using Orleans.Connections.Security;
using Orleans.Hosting;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Client.Cluster;

/// <summary>How the CLI shows a gateway who it is, and makes sure that it is one.</summary>
internal static class ClientTls
{
    /// <summary>A gateway that refuses us says so behind its own end of the handshake.</summary>
    private static readonly TimeSpan RefusalPatience = TimeSpan.FromSeconds(0.3);

    /// <summary>Who we are to a cluster: by the environment, or else by the context that names it.</summary>
    /// <returns>Null where neither has a certificate.</returns>
    /// <exception cref="Spec.InputException">There is one that cannot be used.</exception>
    public static TlsIdentity? For(ClusterAddress? cluster) =>
        (TlsFiles.FromEnvironment() ?? cluster?.Tls) is { } files ? new TlsIdentity(files, PeerRole.Client, PeerRole.Silo) : null;

    public static IClientBuilder UseTls(this IClientBuilder client, TlsIdentity? identity)
    {
        if (identity is null) return client;
        var tls = new TlsOptions
        {
            LocalCertificate = identity.Certificate,
            RemoteCertificateMode = RemoteCertificateMode.NoCertificate, // that is: the callback is ours
            ClientCertificateMode = RemoteCertificateMode.NoCertificate,
            OnAuthenticateAsClient = (_, options) => new PeerCheck(identity, PeerRole.Silo).Prepare(
                (SslClientAuthenticationOptions)options.SslClientAuthenticationOptions, (_, _) => { }),
        };
        return client.Configure<ClientConnectionOptions>(
            options => options.ConfigureConnection(connection => connection.UseClientTls(tls)));
    }

    /// <summary>Shakes hands with a gateway, to know at once and in words what an Orleans client would try again and again.</summary>
    /// <exception cref="AuthenticationException">One of both ends refuses the other; who, and why.</exception>
    public static async Task TryAsync(Socket socket, TlsIdentity identity, CancellationToken deadline)
    {
        var refusal = default(string);
        var options = new SslClientAuthenticationOptions();
        new PeerCheck(identity, PeerRole.Silo).Prepare(options, (subject, reason) => refusal = $"{subject}: {reason}".TrimStart(':', ' '));
        await using var tls = new SslStream(new NetworkStream(socket));
        try
        {
            await tls.AuthenticateAsClientAsync(options, deadline);
        }
        catch (Exception error) when (error is AuthenticationException or IOException)
        {
            throw new AuthenticationException(refusal ?? "it speaks no TLS, or broke off; we have a certificate", error);
        }
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(deadline);
        patience.CancelAfter(RefusalPatience);
        try
        {
            _ = await tls.ReadAsync(new byte[1], patience.Token);
        }
        catch (OperationCanceledException) when (!deadline.IsCancellationRequested)
        {
            return; // it waits for what we have to say
        }
        catch (IOException)
        {
            // Said below.
        }
        throw new AuthenticationException($"it refuses our certificate, {identity.Certificate.Subject}; the silo's log says why");
    }
}
