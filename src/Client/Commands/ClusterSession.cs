using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;

namespace Phi3VCluster.Client.Commands;

/// <summary>Work on the configured cluster, or on a local silo that lives only that long.</summary>
internal static class ClusterSession
{
    private const int Kill = 9;

    /// <param name="silo">What a local silo is like.</param>
    /// <param name="say">Tells a person what happens.</param>
    /// <param name="work">Gets the local silo too, if there is one, and a token that also ends when that silo does.</param>
    public static async Task<T> UseAsync<T>(ClusterAddress? address, LocalSiloNeeds silo, Action<string> say,
        Func<ClusterConnection, LocalSilo?, CancellationToken, Task<T>> work, CancellationToken interrupted)
    {
        if (address is not null)
        {
            await using var shared = await ClusterConnection.OpenAsync(address, interrupted);
            return await work(shared, null, interrupted);
        }

        say($"starting a local silo with {Words.Ranks(silo.Ranks)} …");
        await using var local = await LocalSilo.StartAsync(silo.Ranks, silo.UsesGpus, silo.LogFile, interrupted);
        using var alive = CancellationTokenSource.CreateLinkedTokenSource(interrupted);
        _ = CancelWhenEndedAsync(local, alive);
        try
        {
            await using var own = await ClusterConnection.OpenOwnAsync(local.Address, alive.Token);
            return await work(own, local, alive.Token);
        }
        catch (Exception error) when (error is NoClusterException
            || (error is OperationCanceledException && !interrupted.IsCancellationRequested))
        {
            // A connection breaks a moment before the process is seen to be gone.
            await Task.WhenAny(local.EndedAsync(CancellationToken.None), Task.Delay(TimeSpan.FromSeconds(1), CancellationToken.None));
            throw new CommandFailedException(WhyItEnded(local, silo, error));
        }
    }

    private static async Task CancelWhenEndedAsync(LocalSilo silo, CancellationTokenSource alive)
    {
        try
        {
            await silo.EndedAsync(alive.Token);
            await alive.CancelAsync();
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // The command is over.
        }
    }

    private static string WhyItEnded(LocalSilo silo, LocalSiloNeeds needs, Exception error)
    {
        var log = BackgroundProgram.Tail(silo.LogFile).Trim();
        var words = log.Length == 0 ? "" : $"\n{(silo.LogIsTemporary ? "its log" : silo.LogFile)} ends with:\n{log}";
        if (!silo.HasEnded) return $"the local silo stopped answering: {error.Message}{words}";
        if (silo.KilledBy is not { } signal) return $"the local silo ended of itself, in the middle of its work{words}";
        var why = signal == Kill ? ", most often because memory ran out" : "";
        var need = signal == Kill && needs.Memory is { } memory ? $": {memory}" : "";
        return $"the local silo was killed (signal {signal}){why}{need}{words}";
    }
}

/// <param name="LogFile">Null for one that goes with it.</param>
/// <param name="Memory">What the work needs and the machine has, as a sentence; null where that is not known.</param>
/// <param name="UsesGpus">Whether its ranks take GPUs, where there are some.</param>
internal sealed record LocalSiloNeeds(int Ranks, string? LogFile = null, string? Memory = null, bool UsesGpus = true);
