using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Supervision;

/// <summary>
/// Starts a store and several silos, starts again what dies of them, and stops all of it. The processes hold on to it by a pipe: if it is
/// killed, they end.
/// </summary>
internal sealed class Supervisor
{
    private const int MostDeathsOfTheStore = 4; // in a minute

    private static readonly TimeSpan SiloDeadline = TimeSpan.FromMinutes(2); // many start at once, on whatever cores there are
    // A silo ends itself ten seconds after its drain.
    private static readonly TimeSpan SiloPatience = TimeSpan.FromSeconds(ClusterPlan.DrainSeconds + 12);
    private static readonly TimeSpan StorePatience = TimeSpan.FromSeconds(5);

    private readonly Lock _changing = new();
    private readonly KeptProcess _store;
    private readonly IReadOnlyList<KeptProcess> _silos;
    private readonly int _storePort = FreePorts.OneForServers();
    private UpState _state;
    private bool _owner; // of the state's file

    public Supervisor(ClusterPlan plan)
    {
        _state = plan.State(_storePort);
        _store = new("the store", ClusterPlan.LogOf("store"), stop => StoreProcess.StartAsync(_storePort, ClusterPlan.LogOf("store"), stop),
            process => Change(state => state with { Store = new(process, _storePort) }), Say, MostDeathsOfTheStore);
        _silos = [.. plan.Indices.Select(i => Keep(plan.Silo(i, _storePort), i))];
    }

    /// <summary>How long stopping takes at most.</summary>
    public static TimeSpan StopPatience => SiloPatience + StorePatience;

    /// <summary>Until it is told to stop.</summary>
    /// <param name="ready">Called when all silos answer.</param>
    /// <exception cref="CommandFailedException">A process ended at its start, or the store died too often.</exception>
    /// <exception cref="InputException">A silo refused its options.</exception>
    public async Task RunAsync(Action ready, CancellationToken stop)
    {
        string? end = null;
        try
        {
            await _store.StartAsync(stop); // its folder is locked from here on: the state is ours
            _owner = true;
            await StoreProcess.ForgetMembersAsync(_storePort, stop);
            await StartSilosAsync(stop);
            ready();
            end = await KeepAllAsync(stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // As asked.
        }
        finally
        {
            await Task.WhenAll(_silos.Select(silo => silo.StopAsync(SiloPatience)));
            await _store.StopAsync(StorePatience); // the last: silos write their end into it
            if (_owner) UpState.Forget();
        }
        if (end is null) return;
        (_state with { Ended = end }).Save();
        throw new CommandFailedException(end);
    }

    /// <returns>Why it gives up.</returns>
    private async Task<string> KeepAllAsync(CancellationToken stop)
    {
        using var any = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var kept = _silos.Prepend(_store).Select(process => process.KeepAsync(any.Token)).ToArray();
        var ended = await Task.WhenAny(kept);
        await any.CancelAsync();
        await Task.WhenAll(kept).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stop.ThrowIfCancellationRequested();
        return ended.Exception!.InnerException!.Message;
    }

    private async Task StartSilosAsync(CancellationToken stop)
    {
        using var starting = CancellationTokenSource.CreateLinkedTokenSource(stop); // one that fails is told of at once
        await Task.WhenAll(_silos.Select(async silo =>
        {
            try
            {
                await silo.StartAsync(starting.Token);
            }
            catch (Exception error) when (error is not OperationCanceledException)
            {
                await starting.CancelAsync();
                throw;
            }
        }));
    }

    private KeptProcess Keep(SiloOptions silo, int index) => new(
        $"silo {silo.Node}", silo.LogFile, stop => SiloProcess.StartAsync(silo, stop, $"silo {silo.Node}", SiloDeadline),
        process => Change(state => state with
        {
            Silos = [.. state.Silos.Select((one, i) => i == index ? one with { ProcessId = process } : one)],
        }), Say);

    private void Change(Func<UpState, UpState> change)
    {
        lock (_changing)
        {
            _state = change(_state);
            _state.Save();
        }
    }

    private static void Say(string text) => Console.Error.WriteLine($"{DateTime.Now:HH:mm:ss.fff} {text}");
}
