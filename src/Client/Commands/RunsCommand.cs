using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

internal sealed class RunsCommand : ClusterVerb
{
    private const int MostEnded = 20;

    private readonly Option<bool> _all = new("--all") { Description = $"Of those that have ended, more than the newest {MostEnded} too." };

    public RunsCommand() : base("runs", "Runs of the cluster, newest first.", "phi3v runs --all") => Options.Add(_all);

    protected override async Task<int> AskAsync(ClusterConnection cluster, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var runs = await cluster.RunsAsync();
        var older = parsed.GetValue(_all) ? [] : runs.Where(run => run.IsFinal).Skip(MostEnded).ToHashSet();
        Show(output, [.. runs.Where(run => !older.Contains(run))]);
        if (older.Count > 0) Output.Note($"and {older.Count} older ones that have ended: phi3v runs --all");
        return ExitCode.Done;
    }

    protected override int? FromRecords(ParseResult parsed, Output output, bool hasCluster)
    {
        if (hasCluster || LocalRuns.All() is not { Count: > 0 } runs) return null;
        Output.Note("no cluster is up; these began on this machine, as their folders have them:");
        Show(output, [.. runs.Select(FolderStatus.Of)]);
        return ExitCode.Done;
    }

    private static void Show(Output output, IReadOnlyList<RunStatus> runs) =>
        output.Result(runs.Select(RunRow.Of).ToArray(), to => ShowTable(to, runs));

    private static void ShowTable(Output to, IReadOnlyList<RunStatus> runs) => Tables.Write(to,
        [
            new("run"), new("state"), new("step", 1), new("epochs done", 5), new("loss", 2), new("ranks", 6), new("submitted (UTC)", 4),
            new("priority", 7), new("note", 3, Folds: true),
        ],
        runs.Select(r => (string[])
        [
            r.Run, Words.Of(r.State), r.TotalSteps > 0 ? $"{r.Step}/{r.TotalSteps}" : $"{r.Step}",
            $"{r.Epoch}/{r.Epochs}", Words.Number(r.Loss), $"{r.WorldSize}",
            $"{r.SubmittedAt.UtcDateTime:yyyy-MM-dd HH:mm}", r.Priority == 0 ? "" : $"{r.Priority}", Note(r),
        ]));

    private static string Note(RunStatus r) => (r.Error ?? RunStatusText.Waiting(r) ?? "").Split('\n')[0].Trim();
}
