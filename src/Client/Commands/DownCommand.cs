using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Silo;

namespace Phi3VCluster.Client.Commands;

internal sealed class DownCommand() : Verb("down", "Stop the cluster that `phi3v up` started.", "phi3v down")
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var up = UpState.Running() ?? throw new NoClusterException("nothing is up on this machine.");
        await SiloProcess.StopAsync(up.ProcessId, up.GatewayPort, Patience);
        UpState.Forget();
        output.Result(new { up.ProcessId, up.GatewayPort }, _ => output.Line($"down: stopped process {up.ProcessId}."));
        return ExitCode.Done;
    }
}
