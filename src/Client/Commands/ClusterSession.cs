using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;

namespace Phi3VCluster.Client.Commands;

/// <summary>Work on the configured cluster, or on a local silo that lives only that long.</summary>
internal static class ClusterSession
{
    /// <param name="ranks">Of a local silo.</param>
    /// <param name="logFile">Of a local silo; null for one that goes with it.</param>
    /// <param name="say">Tells a person what happens.</param>
    /// <param name="work">Gets the local silo too, if there is one.</param>
    public static async Task<T> UseAsync<T>(ClusterAddress? address, int ranks, string? logFile, Action<string> say,
        Func<ClusterConnection, LocalSilo?, Task<T>> work, CancellationToken interrupted)
    {
        if (address is not null)
        {
            await using var shared = await ClusterConnection.OpenAsync(address, interrupted);
            return await work(shared, null);
        }

        say($"starting a local silo with {Words.Ranks(ranks)} …");
        await using var silo = await LocalSilo.StartAsync(ranks, logFile, interrupted);
        try
        {
            await using var own = await ClusterConnection.OpenAsync(silo.Address, interrupted);
            return await work(own, silo);
        }
        catch (NoClusterException error)
        {
            throw new CommandFailedException($"the local silo {(silo.HasEnded ? "ended" : "stopped answering")}: {error.Message}\n" +
                $"{silo.LogFile} ends with:\n{SiloProcess.Tail(silo.LogFile)}");
        }
    }
}
