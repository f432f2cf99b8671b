using System.Net;
using System.Net.Security;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;
using Orleans.Connections.Security;
using Orleans.Hosting;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>A client that reaches a silo as the CLI does.</summary>
internal static class SiloClient
{
    public static async Task<IHost> ConnectAsync(JsonElement ready, TlsFiles? tls = null)
    {
        var host = Host.CreateEmptyApplicationBuilder(null).UseOrleansClient(client => client
            .UseStaticClustering(new IPEndPoint(IPAddress.Loopback, ready.GetProperty("gateway_port").GetInt32()))
            .Configure<Orleans.Configuration.ClusterOptions>(o =>
                (o.ServiceId, o.ClusterId) = (GrainKeys.ServiceId, GrainKeys.ClusterId))
            .Configure<ClientConnectionOptions>(o => o.ConfigureConnection(connection =>
            {
                if (tls is not null) connection.UseClientTls(Options(new TlsIdentity(tls, PeerRole.Client)));
            }))).Build();
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await host.StartAsync(patience.Token);
        return host;
    }

    public static IClusterGrain Front(this IHost client) => client.Services.GetRequiredService<IGrainFactory>().GetCluster();

    public static IRunGrain Run(this IHost client, string run) => client.Services.GetRequiredService<IGrainFactory>().GetRun(run);

    private static TlsOptions Options(TlsIdentity identity) => new()
    {
        LocalCertificate = identity.Certificate,
        RemoteCertificateMode = RemoteCertificateMode.NoCertificate,
        ClientCertificateMode = RemoteCertificateMode.NoCertificate,
        OnAuthenticateAsClient = (_, options) => new PeerCheck(identity, PeerRole.Silo).Prepare(
            (SslClientAuthenticationOptions)options.SslClientAuthenticationOptions, (_, _) => { }),
    };

    private static HostApplicationBuilder UseOrleansClient(this HostApplicationBuilder builder, Action<IClientBuilder> configure)
    {
        OrleansClientGenericHostExtensions.UseOrleansClient(builder, configure);
        return builder;
    }
}
