using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

internal sealed class RunsCommand() : ClusterVerb("runs", "All runs of the cluster, newest first.", "phi3v runs")
{
    protected override async Task<int> AskAsync(ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        Show(output, await cluster.RunsAsync());
        return ExitCode.Done;
    }

    protected override int? FromRecords(ParseResult parsed, Output output, bool hasCluster)
    {
        if (hasCluster || LocalRuns.All() is not { Count: > 0 } runs) return null;
        Output.Note("no cluster is up; these ran on silos of their own:");
        Show(output, runs);
        return ExitCode.Done;
    }

    private static void Show(Output output, IReadOnlyList<RunStatus> runs) =>
        output.Result(runs.Select(RunRow.Of).ToArray(), to => ShowTable(to, runs));

    private static void ShowTable(Output to, IReadOnlyList<RunStatus> runs) => Tables.Write(to,
        [
            new("run"), new("state"), new("step", 1), new("epochs done", 5), new("loss", 2), new("ranks", 6), new("submitted (UTC)", 4),
            new("note", 3, Folds: true),
        ],
        runs.Select(r => (string[])
        [
            r.Run, Words.Of(r.State), $"{r.Step}/{r.TotalSteps}", $"{r.Epoch}/{r.Epochs}", Words.Number(r.Loss), $"{r.WorldSize}",
            $"{r.SubmittedAt.UtcDateTime:yyyy-MM-dd HH:mm}", Note(r),
        ]));

    private static string Note(RunStatus r) => (r.Error ?? RunWords.Waiting(r) ?? "").Split('\n')[0].Trim();
}
