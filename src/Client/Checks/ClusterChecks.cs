using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;

namespace Phi3VCluster.Client.Checks;

/// <summary>The configured cluster, or whether one could be started here.</summary>
internal static class ClusterChecks
{
    private static readonly (string Name, int Port)[] UpPorts = [("gateway", 30000), ("silo", 11111), ("HTTP", 8080)];

    public static async Task<IReadOnlyList<CheckRow>> AllAsync(ClusterAddress? address, CancellationToken interrupted) =>
        [await ClusterAsync(address, interrupted), .. UpPorts.Select(p => Port(p.Name, p.Port))];

    private static async Task<CheckRow> ClusterAsync(ClusterAddress? address, CancellationToken interrupted)
    {
        if (address is null && UpState.LastEnd() is { } end)
            return new("cluster", false, $"the one that `phi3v up` started has ended: {end}");
        if (address is null) return new("cluster", true, "none configured; commands that wait start their own");
        try
        {
            await using var cluster = await ClusterConnection.OpenAsync(address, interrupted);
            var nodes = await cluster.NodesAsync();
            return new("cluster", nodes.Count > 0, $"{address}: {nodes.Count} nodes, {Words.Ranks(nodes.Sum(n => n.Ranks))}");
        }
        catch (NoClusterException error)
        {
            return new("cluster", false, error.Message);
        }
    }

    private static CheckRow Port(string name, int port)
    {
        var check = $"{name} port {port}";
        if (UpState.Running() is { } up && up.Silos.Any(silo => port == silo.GatewayPort || port == silo.SiloPort || port == silo.HttpPort))
            return new(check, true, $"used by your own cluster, process {up.ProcessId}");
        return FreePorts.IsFree(port) ? new(check, true, "free")
            : new(check, false, $"in use; `phi3v up` needs another one with its --…-port options");
    }
}
