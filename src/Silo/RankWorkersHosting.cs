using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Silo;

internal static class RankWorkersHosting
{
    /// <summary>The node's data plane.</summary>
    public static IServiceCollection AddRankWorkers(this IServiceCollection services, int capacity) =>
        services.AddSingleton(_ => Create(capacity));

    private static IRankWorkers Create(int capacity)
    {
        var implementation = typeof(IRankWorkers).Assembly.GetTypes().Single(t => t.IsClass && t.IsAssignableTo(typeof(IRankWorkers)));
        return (IRankWorkers)Activator.CreateInstance(implementation, capacity)!;
    }
}
