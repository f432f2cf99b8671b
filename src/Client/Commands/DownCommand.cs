using System.CommandLine;
using System.Net.Sockets;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Supervision;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

internal sealed class DownCommand : Verb
{
    private static readonly TimeSpan Patience = Supervisor.StopPatience + TimeSpan.FromSeconds(3); // more than each gives what it stops


    private readonly Option<bool> _force = new("--force") { Description = "Stop it even under runs in progress, which then fail." };

    public DownCommand() : base(
        "down", "Stop the cluster that `phi3v up` started. Queued runs are kept.", "phi3v down") => Options.Add(_force);

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        if (UpState.Running() is not { } up)
        {
            var end = UpState.LastEnd();
            UpState.Forget();
            throw new NoClusterException($"nothing is up on this machine{(end is null ? "." : $" any more: {end}")}");
        }
        if (!parsed.GetValue(_force) && await InProgressAsync(up, interrupted) is { Count: > 0 } runs)
            throw new CommandFailedException($"not stopped: {string.Join(", ", runs)} would wait for the next `phi3v up`; "
                + $"stay with `phi3v watch {runs[0]}`, end it with `phi3v cancel {runs[0]}`, or give --force.");
        foreach (var process in up.Processes) await process.StopAsync(Patience); // of a supervisor that does its work none is left
        UpState.Forget();
        output.Result(new { up.ProcessId, up.GatewayPort, up.Silos }, _ => output.Line(up.Store is null
            ? $"down: stopped process {up.ProcessId}."
            : $"down: stopped {up.Silos.Count} silos, their supervisor and their store."));
        return ExitCode.Done;
    }

    /// <summary>Runs that have ranks on these nodes. A silo that does not listen has none.</summary>
    private static async Task<IReadOnlyList<string>> InProgressAsync(UpState up, CancellationToken interrupted)
    {
        try
        {
            await using var cluster = await ClusterConnection.OpenQuicklyAsync(new("127.0.0.1", up.GatewayPort), interrupted);
            var runs = await cluster.RunsAsync();
            var own = up.Silos.Select(silo => silo.Node).Append(up.Node).ToHashSet();
            return [.. runs.Where(r => r.State == RunState.Running && r.Nodes.Any(n => own.Contains(n.Node))).Select(r => r.Run)];
        }
        catch (NoClusterException error) when (error.InnerException is SocketException)
        {
            return [];
        }
        catch (NoClusterException)
        {
            throw new CommandFailedException(
                $"not stopped: process {up.ProcessId} does not answer, so that nobody knows of its runs; try again, or give --force.");
        }
    }
}
