using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Engine.Jobs;

namespace Phi3VCluster.Silo;

internal static class RankWorkersHosting
{
    /// <summary>The node's data plane; disposed with the host, which ends every rank and job.</summary>
    public static IServiceCollection AddRankWorkers(this IServiceCollection services, SiloSettings settings) =>
        services
            .AddSingleton<IRankWorkers>(_ => new RankWorkers(
                settings.Ranks, settings.Advertise?.ToString() ?? "127.0.0.1", settings.Node, settings.Threads, settings.UsesGpus))
            .AddSingleton<IModelJobs, ModelJobs>();
}
