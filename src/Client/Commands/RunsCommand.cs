using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;
using Spectre.Console;

namespace Phi3VCluster.Client.Commands;

internal sealed class RunsCommand() : ClusterVerb("runs", "All runs of the cluster, newest first.", "phi3v runs")
{
    protected override async Task<int> AskAsync(ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var runs = await cluster.RunsAsync();
        output.Result(runs.Select(RunRow.Of).ToArray(), to => Show(to.Screen, runs));
        return ExitCode.Done;
    }

    private static void Show(IAnsiConsole screen, IReadOnlyList<RunStatus> runs)
    {
        var table = new Table().AddColumns("run", "state", "step", "epochs done", "loss", "ranks", "submitted (UTC)", "note");
        foreach (var r in runs)
            table.AddRow(((string[])
            [
                r.Run, Words.Of(r.State), $"{r.Step}/{r.TotalSteps}", $"{r.Epoch}/{r.Epochs}", Words.Number(r.Loss), $"{r.WorldSize}",
                $"{r.SubmittedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss}", r.Error ?? r.WaitingFor ?? "",
            ]).Select(Markup.Escape).ToArray());
        screen.Write(table);
    }
}
