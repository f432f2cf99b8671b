using Phi3VCluster.Tls;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Engine.Checks;
using Phi3VCluster.Training.Engine.Jobs;

namespace Phi3VCluster.Silo;

internal static class RankWorkersHosting
{
    /// <summary>The node's data plane; disposed with the host, which ends every rank and job.</summary>
    public static IServiceCollection AddRankWorkers(this IServiceCollection services, SiloSettings settings, TlsIdentity? identity)
    {
        var host = settings.Advertise?.ToString() ?? "127.0.0.1";
        RankTls? Tls(IServiceProvider provider) => identity is null ? null : new(identity, SiloTls.Log(provider));
        return services
            .AddSingleton<IRankWorkers>(provider => new RankWorkers(
                settings.Ranks, host, settings.Node, settings.Threads, settings.UsesGpus, Tls(provider)))
            .AddSingleton<INodeProbe>(provider => new NodeProbe(
                settings.Ranks > 0, settings.UsesGpus, host, Tls(provider), () => identity?.Expiry))
            .AddSingleton<IModelJobs, ModelJobs>();
    }
}
