using System.Buffers;
using System.Net.Security;
using System.Security.Authentication;
using Microsoft.AspNetCore.Connections;
using Orleans.Configuration;
using Orleans.Connections.Security;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Silo;

/// <summary>TLS with certificates of both ends: silos only where silos connect, silos and clients at the gateway.</summary>
internal static class SiloTls
{
    private const byte HandshakeRecord = 0x16; // every TLS connection's first byte

    private static readonly TimeSpan FirstBytePatience = TimeSpan.FromSeconds(10);
    private static readonly object Refused = new();

    /// <param name="identity">Null leaves all connections open.</param>
    public static ISiloBuilder UseTls(this ISiloBuilder silo, TlsIdentity? identity)
    {
        if (identity is null) return silo;
        var (silos, all) = (new PeerCheck(identity, PeerRole.Silo), new PeerCheck(identity, PeerRole.Silo, PeerRole.Client));
        return silo.Configure<SiloConnectionOptions>(options =>
        {
            options.ConfigureSiloInboundConnection(connection => Take(connection, "silo port", silos));
            options.ConfigureGatewayInboundConnection(connection => Take(connection, "gateway", all));
            options.ConfigureSiloOutboundConnection(connection => Go(connection, silos));
        });

        void Take(IConnectionBuilder connections, string port, PeerCheck check)
        {
            var log = Log(connections.ApplicationServices);
            connections.Use(next => connection => GuardAsync(connection, next, port, log));
            connections.UseServerTls(new TlsOptions
            {
                LocalCertificate = identity.Certificate, // asked for at the start; each connection takes the newest
                RemoteCertificateMode = RemoteCertificateMode.NoCertificate, // that is: its callback has not the peer's address, ours has
                OnAuthenticateAsServer = (connection, options) => check.Prepare(
                    (SslServerAuthenticationOptions)options.SslServerAuthenticationOptions,
                    (subject, reason) => Refuse(connection, log, port, subject, reason)),
            });
        }

        void Go(IConnectionBuilder connections, PeerCheck check)
        {
            var log = Log(connections.ApplicationServices);
            connections.UseClientTls(new TlsOptions
            {
                LocalCertificate = identity.Certificate,
                RemoteCertificateMode = RemoteCertificateMode.NoCertificate,
                ClientCertificateMode = RemoteCertificateMode.NoCertificate,
                OnAuthenticateAsClient = (connection, options) => check.Prepare(
                    (SslClientAuthenticationOptions)options.SslClientAuthenticationOptions,
                    (subject, reason) => log.LogWarning("Does not talk to {Peer}: {Reason}.", Named(connection, subject), reason)),
            });
        }
    }

    /// <summary>Whoever speaks no TLS or breaks off is named too. One that hangs up without a word only asked for the port.</summary>
    private static async Task GuardAsync(ConnectionContext connection, ConnectionDelegate next, string port, ILogger log)
    {
        if (await FirstByteAsync(connection) is not { } first) return;
        if (first != HandshakeRecord)
        {
            Refuse(connection, log, port, "", "it speaks no TLS");
            return;
        }
        await next(connection);
        if (connection.Features.Get<ITlsHandshakeFeature>() is { Protocol: SslProtocols.None } && !connection.Items.ContainsKey(Refused))
            Refuse(connection, log, port, "", "the handshake came to no end; it may not believe this silo's certificate");
    }

    /// <returns>Null if none came; what has come stays to be read.</returns>
    private static async Task<byte?> FirstByteAsync(ConnectionContext connection)
    {
        using var patience = new CancellationTokenSource(FirstBytePatience);
        try
        {
            var read = await connection.Transport.Input.ReadAsync(patience.Token);
            byte? first = read.Buffer.IsEmpty ? null : read.Buffer.FirstSpan[0];
            connection.Transport.Input.AdvanceTo(read.Buffer.Start);
            return first;
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException or ConnectionAbortedException)
        {
            return null;
        }
    }

    private static void Refuse(ConnectionContext connection, ILogger log, string port, string subject, string reason)
    {
        connection.Items[Refused] = true;
        log.LogWarning("Refused at the {Port}: {Peer}: {Reason}.", port, Named(connection, subject), reason);
    }

    private static string Named(ConnectionContext connection, string subject) =>
        subject.Length == 0 ? $"{connection.RemoteEndPoint}" : $"{connection.RemoteEndPoint} ({subject})";

    /// <summary>Where all refusals go.</summary>
    public static ILogger Log(IServiceProvider services) =>
        services.GetRequiredService<ILoggerFactory>().CreateLogger("Phi3VCluster.Silo.Tls");
}
