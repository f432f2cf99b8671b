using System.Globalization;
using Phi3VCluster.Client.Silo;

namespace Phi3VCluster.Client.Supervision;

/// <summary>Several silos of one machine: nodes n1, n2, …, each on the ports after those of the one before.</summary>
/// <param name="Ranks">Of each silo.</param>
/// <param name="GatewayPort">The first silo's, as the other two.</param>
internal sealed record ClusterPlan(int Silos, int Ranks, int GatewayPort, int SiloPort, int HttpPort)
{
    /// <summary>All stop together, as a rule: what one leaves to another is left again.</summary>
    public const int DrainSeconds = 10;

    public IEnumerable<int> Indices => Enumerable.Range(0, Silos);

    public static string NodeOf(int index) => string.Create(CultureInfo.InvariantCulture, $"n{index + 1}");

    public static string LogOf(string name) => Path.Combine(UpState.Home, $"{name}.log");

    public SiloOptions Silo(int index, int storePort) => new(
        GatewayPort + index, SiloPort + index, HttpPort + index, NodeOf(index), Ranks, Path.Combine(UpState.Home, "data"),
        LogOf($"silo-{NodeOf(index)}"), UntilStdinCloses: true,
        Redis: string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{storePort}"))
    {
        Threads = Math.Max(1, Environment.ProcessorCount / Silos),
        DrainSeconds = DrainSeconds,
    };

    /// <summary>As the supervisor remembers it, before anything runs.</summary>
    public UpState State(int storePort) =>
        new(Environment.ProcessId, GatewayPort, SiloPort, HttpPort, NodeOf(0), Ranks, DateTimeOffset.UtcNow)
        {
            Silos = [.. Indices.Select(i => new UpSilo(NodeOf(i), null, GatewayPort + i, SiloPort + i, HttpPort + i))],
            Store = new(null, storePort),
        };
}
