using System.Net;
using Orleans.Configuration;
using Orleans.Storage;
using Phi3VCluster.Grains;
using Phi3VCluster.Grains.Checks;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Queue;

namespace Phi3VCluster.Silo;

/// <summary>How silos find each other and where their grains keep state: alone with files, or together in a Redis.</summary>
internal static class Clustering
{
    public static ISiloBuilder UseClusteringAndStorage(this ISiloBuilder silo, SiloSettings settings)
    {
        silo.Configure<Orleans.Configuration.SiloOptions>(options => options.SiloName = settings.Node);
        return settings.Redis is null ? silo.Alone(settings) : silo.TogetherInRedis(settings);
    }

    private static ISiloBuilder Alone(this ISiloBuilder silo, SiloSettings settings)
    {
        silo.UseLocalhostClustering(
            settings.SiloPort, settings.GatewayPort,
            serviceId: GrainKeys.ServiceId, clusterId: GrainKeys.ClusterId);
        silo.ListenAt(settings);
        silo.Configure<DevelopmentClusterMembershipOptions>(options =>
            options.PrimarySiloEndpoint = new IPEndPoint(settings.Advertise ?? IPAddress.Loopback, settings.SiloPort));
        silo.Services.AddSingleton(new ClusterShape(Grows: false));
        silo.Services.AddSingleton(new StateStoreName($"the files in {settings.Data}"));
        silo.Services.AddKeyedSingleton<IGrainStorage>(StateStore.Name, (services, _) =>
            new FileGrainStorage(settings.Data, services.GetRequiredService<IGrainStorageSerializer>()));
        return silo;
    }

    private static ISiloBuilder TogetherInRedis(this ISiloBuilder silo, SiloSettings settings)
    {
        silo.Configure<ClusterOptions>(options => (options.ServiceId, options.ClusterId) = (GrainKeys.ServiceId, GrainKeys.ClusterId));
        silo.ListenAt(settings);
        silo.Services.AddSingleton(new StateStoreName($"the Redis at {RedisServer.Shown(settings.Redis!)}"));
        silo.UseRedisClustering(options => options.ConfigurationOptions = RedisServer.Connection(settings));
        return silo.AddRedisGrainStorage(StateStore.Name, options =>
        {
            options.ConfigurationOptions = RedisServer.Connection(settings);
            options.GrainStorageSerializer = new JsonStateSerializer();
            options.DeleteStateOnClear = true; // of a run that is forgotten nothing stays
        });
    }

    private static void ListenAt(this ISiloBuilder silo, SiloSettings settings) => silo.ConfigureEndpoints(
        settings.Advertise ?? IPAddress.Loopback,
        settings.SiloPort,
        settings.GatewayPort,
        listenOnAnyHostAddress: settings.Advertise is not null);
}
