using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>A client of one node's gateway, for tests that ask more often than a command could be started.</summary>
public sealed class GatewayClient : IAsyncDisposable
{
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(10); // a grain that was on a dead silo answers no more

    private readonly IHost _host;
    private readonly IGrainFactory _grains;

    private GatewayClient(IHost host) => (_host, _grains) = (host, host.Services.GetRequiredService<IGrainFactory>());

    public IClusterGrain Cluster => _grains.GetCluster();

    public static Task<GatewayClient> ConnectAsync(int gatewayPort) => ConnectAsync(new IPEndPoint(IPAddress.Loopback, gatewayPort));

    public static async Task<GatewayClient> ConnectAsync(IPEndPoint gateway)
    {
        var host = new HostBuilder().UseOrleansClient(client => client
            .UseStaticClustering(gateway)
            .Configure<ClusterOptions>(o => (o.ServiceId, o.ClusterId) = (GrainKeys.ServiceId, GrainKeys.ClusterId))
            .Configure<ClientMessagingOptions>(o => o.ResponseTimeout = AnswerPatience)).Build();
        using var patience = new CancellationTokenSource(CliSandbox.Timeout);
        await host.StartAsync(patience.Token).WaitAsync(patience.Token);
        return new(host);
    }

    public IRunGrain Run(string run) => _grains.GetRun(run);

    /// <summary>Address of the silo that coordinates a run.</summary>
    public Task<string?> CoordinatorAsync(string run) => PlaceAsync(Run(run));

    /// <summary>Address of the silo that keeps the queue.</summary>
    public Task<string?> KeeperAsync() => PlaceAsync(Cluster);

    private async Task<string?> PlaceAsync(IGrain grain) =>
        (await _grains.GetGrain<IManagementGrain>(0).GetActivationAddress((IAddressable)grain))?.ToParsableString();

    /// <summary>
    /// Asks until the answer is good. A question that a dying silo takes with it is asked again: that is the cluster's business, and the
    /// patience is for it.
    /// </summary>
    public static async Task<T> SeeAsync<T>(string what, Func<Task<T>> ask, Func<T, bool> good, TimeSpan? patience = null)
    {
        var (seen, error) = (default(T), default(Exception));
        await Eventually.Holds(async () =>
        {
            try
            {
                return good(seen = await ask());
            }
            catch (Exception unanswered) when (unanswered is TimeoutException or Orleans.Runtime.OrleansException
                or TypeLoadException) // of a silo whose store is away: only silos know the type
            {
                error = unanswered;
                return false;
            }
        }, patience ?? CliSandbox.Timeout, () => $"{what}; last seen: {seen}; last error: {error?.Message}");
        return seen!;
    }

    public async ValueTask DisposeAsync()
    {
        using var soon = new CancellationTokenSource(TimeSpan.FromSeconds(1)); // a client whose gateway is gone may wait for it
        await _host.StopAsync(soon.Token).WaitAsync(soon.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _host.Dispose();
    }
}
