using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <param name="Phase">The last one before the end.</param>
internal sealed record FollowedRun(RunStatus Status, string Phase);

/// <summary>
/// Submits a run and stays with it to its end, on the configured cluster or on a local silo that lives only that long.
/// </summary>
internal static class RunSession
{
    private static readonly TimeSpan CancelPatience = TimeSpan.FromSeconds(5);

    /// <summary>Ranks of a local silo: one per core, as far as the run allows, and no more than GPUs where there are some.</summary>
    public static int LocalRanks(ClusterSpec spec) => Math.Clamp(Environment.ProcessorCount, spec.MinRanks, spec.MaxRanks);

    public static string GoesOn(string run) => $"the run goes on; see `phi3v watch {run}`, end it with `phi3v cancel {run}`.";

    public static Task<FollowedRun> RunAsync(RunRequest request, ClusterAddress? address, Output output, CancellationToken interrupted) =>
        address is null
            ? RunHereAsync(request, output, interrupted)
            : ClusterSession.UseAsync(
                address, new(Ranks: 0), output.Line,
                (cluster, _, _) => FollowAsync(cluster, address, request, output, interrupted), interrupted);

    /// <exception cref="InputException">No node has the device that the run asks for, so that it would wait for ever.</exception>
    public static async Task RequireDeviceAsync(ClusterConnection cluster, ClusterSpec spec)
    {
        if (spec.Device != "cuda") return;
        var nodes = (await cluster.NodesAsync()).Where(n => n.State == NodeState.Ready).ToList();
        if (nodes.Count == 0 || nodes.Any(n => n.Device.StartsWith(spec.Device, StringComparison.Ordinal))) return;
        throw new InputException($"cluster.device: no node has such a device, got {spec.Device}; the cluster has "
            + $"{string.Join(", ", nodes.Select(n => $"{n.Node} ({n.Device})"))}. "
            + "Write auto or cpu, or start a node whose libtorch finds one.");
    }

    private static async Task<FollowedRun> FollowAsync(
        ClusterConnection cluster, ClusterAddress address, RunRequest request, Output output, CancellationToken interrupted)
    {
        await RequireDeviceAsync(cluster, request.Spec.Cluster);
        var submitted = await request.SubmitAsync(cluster);
        LocalRuns.SaveBegun(submitted.RunId, request.Spec.Name, submitted.Output);
        output.Line($"run {submitted.RunId} → {submitted.Output}");
        if (PageAddress.Of(address, submitted.RunId) is { } page) output.Line($"page: {page}");
        try
        {
            var follower = new RunFollower(cluster, output);
            return new(await follower.FollowAsync(submitted.RunId, () => false, interrupted), follower.Phase);
        }
        catch (OperationCanceledException)
        {
            output.Error(GoesOn(submitted.RunId));
            throw;
        }
    }

    // The run has its folder before its silo starts: whatever happens, the silo's log is there.
    private static async Task<FollowedRun> RunHereAsync(RunRequest request, Output output, CancellationToken interrupted)
    {
        var spec = request.Spec;
        var run = request.Run ?? RunIds.New(spec.Name, DateTimeOffset.UtcNow);
        var folder = request.Resumed ?? Path.Combine(spec.Output, run);
        var known = new RunStatus
        {
            Run = run,
            Name = spec.Name,
            Output = folder,
            State = RunState.Failed,
            SubmittedAt = DateTimeOffset.UtcNow,
        };
        using var claim = FolderClaim.Take(folder);
        var ranks = LocalRanks(spec.Cluster);
        var needs = new LocalSiloNeeds(
            ranks, Path.Combine(folder, "silo.log"), MachineMemory.Of(spec, ranks), UsesGpus: spec.Cluster.Device != "cpu");
        try
        {
            return await ClusterSession.UseAsync(null, needs, output.Line,
                (cluster, silo, alive) => FollowHereAsync(cluster, request, known, silo!, output, alive), interrupted);
        }
        catch (CommandFailedException error)
        {
            LocalRuns.Save(known with { Error = error.Message, FinishedAt = DateTimeOffset.UtcNow }, []);
            throw;
        }
        catch (OperationCanceledException)
        {
            output.Error($"the run {run} was cancelled{(Directory.Exists(folder) ? $"; what it wrote is in {folder}" : "")}"
                + (File.Exists(Path.Combine(folder, "run.yaml")) ? $"; `phi3v resume {run} --wait` goes on with it." : "."));
            throw;
        }
    }

    private static async Task<FollowedRun> FollowHereAsync(
        ClusterConnection cluster, RunRequest request, RunStatus known, LocalSilo silo, Output output, CancellationToken alive)
    {
        await RequireDeviceAsync(cluster, request.Spec.Cluster);
        await request.SubmitAsync(cluster, known.Run);
        LocalRuns.SaveBegun(known.Run, known.Name, known.Output);
        output.Line($"run {known.Run} → {known.Output}\npage: {PageAddress.Of(silo.HttpPort, known.Run)} while it runs");
        var follower = new RunFollower(cluster, output);
        try
        {
            var ended = await follower.FollowAsync(known.Run, () => silo.HasEnded, alive);
            LocalRuns.Save(ended, (await cluster.LogAsync(known.Run, 0)).Lines);
            return new(ended, follower.Phase);
        }
        catch (OperationCanceledException) when (!silo.HasEnded)
        {
            if (await CancelAsync(cluster, known.Run) is { } cancelled) LocalRuns.Save(cancelled, []);
            throw;
        }
    }

    /// <summary>Lets the ranks end in order before their silo does; its end would stop them anyway.</summary>
    private static async Task<RunStatus?> CancelAsync(ClusterConnection cluster, string run)
    {
        using var patience = new CancellationTokenSource(CancelPatience);
        RunStatus? status = null;
        try
        {
            status = await cluster.CancelAsync(run).WaitAsync(patience.Token);
            while (!status.IsFinal)
            {
                await Task.Delay(200, patience.Token);
                status = await cluster.StatusAsync(run).WaitAsync(patience.Token);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or NoClusterException)
        {
            // The silo is stopped next, with everything in it.
        }
        return status;
    }
}
