using Phi3VCluster.Grains.Queue;
using Phi3VCluster.Grains.Runs;
using Phi3VCluster.Silo;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Monitoring.Tests.Metrics;

/// <summary>Every metric that a silo has of its own, and who tells it.</summary>
internal static class AllMetrics
{
    public static IReadOnlyList<(string Teller, IReadOnlyList<MetricDefinition> Metrics)> ByTeller { get; } =
    [
        ("The silo whose seat is rank 0 of a run, or which has the seat", RankMetrics.All),
        ("The silo where a run's coordinator is", RunMetrics.All),
        ("The silo where the cluster's grain is", ClusterMetrics.All),
        ("Every silo", [SiloMetrics.Info, SiloMetrics.CertificateExpiry]),
    ];

    public static IEnumerable<MetricDefinition> Each => ByTeller.SelectMany(teller => teller.Metrics);
}
