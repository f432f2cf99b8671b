using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Checks.Nodes;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Checks;

/// <summary>The configured cluster, or whether one could be started here.</summary>
internal static class ClusterChecks
{
    private const string Name = "cluster";

    private static readonly (string Name, int Port)[] UpPorts = [("gateway", 30000), ("silo", 11111), ("HTTP", 8080)];

    /// <param name="address">The configured one.</param>
    /// <param name="folder">Where runs' results go, by its full path.</param>
    /// <param name="isGiven">By the user; otherwise the newest run's place counts, if there is one.</param>
    /// <param name="interrupted">By the user.</param>
    public static async Task<IReadOnlyList<CheckRow>> AllAsync(
        ClusterAddress? address, string folder, bool isGiven, CancellationToken interrupted) =>
        [.. await ClusterAsync(address, folder, isGiven, interrupted), .. UpPorts.Select(p => Port(p.Name, p.Port))];

    private static async Task<IReadOnlyList<CheckRow>> ClusterAsync(
        ClusterAddress? address, string folder, bool isGiven, CancellationToken interrupted)
    {
        if (address is null && UpState.LastEnd() is { } end)
            return [new(Name, false, $"the one that `phi3v up` started has ended: {end}")];
        if (address is null) return [new(Name, true, "none configured; commands that wait start their own")];
        try
        {
            await using var cluster = await ClusterConnection.OpenAsync(address, interrupted);
            var members = await cluster.MembersAsync(interrupted);
            var nodes = await UnlessSilentAsync(cluster.NodesAsync);
            var lost = (nodes ?? []).Select(node => node.Node).Except(members.Active).Union(members.Gone).Order(StringComparer.Ordinal);
            var newest = isGiven || nodes is null ? null : (await UnlessSilentAsync(cluster.RunsAsync))?.FirstOrDefault();
            var results = newest is null ? folder : Path.GetDirectoryName(newest.Output) ?? folder;
            return
            [
                nodes is null
                    ? new(Name, false, $"{address.Said}: whoever keeps its queue does not answer; another node takes over in a while")
                    : new(Name, nodes.Count > 0, $"{address.Said}: {nodes.Count} nodes, {Words.Ranks(nodes.Sum(n => n.Ranks))}"),
                .. await NodeChecks.AllAsync([.. members.Active.Select(cluster.Call)], lost, results, interrupted),
            ];
        }
        catch (NoClusterException error)
        {
            return [new(Name, false, error.Message)];
        }
        catch (InputException wrong)
        {
            return [new(Name, false, $"{address.Said} was not asked: {string.Join(" ", wrong.Problems)}")];
        }
    }

    /// <summary>Null where whoever has to say it hangs: the nodes are checked all the same.</summary>
    private static async Task<T?> UnlessSilentAsync<T>(Func<Task<T>> ask) where T : class
    {
        try
        {
            return await ask();
        }
        catch (NoClusterException)
        {
            return null;
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
