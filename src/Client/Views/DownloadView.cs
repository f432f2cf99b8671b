using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Hub;

namespace Phi3VCluster.Client.Views;

/// <summary>What a download fetched, kept and left out.</summary>
internal static class DownloadView
{
    private const int ShownCommit = 12;

    public static object Document(DownloadPlan plan, string folder, IReadOnlyList<FileResult> results, long received, double seconds) => new
    {
        Repo = plan.Repo.Name,
        Kind = plan.Repo.KindWord,
        Revision = plan.Commit,
        Folder = folder,
        Files = results.Select(r => new
        {
            r.File.Path,
            Bytes = r.File.Size,
            r.File.Sha256,
            r.File.GitOid,
            State = Word(r.State),
            r.Error,
        }),
        Skipped = plan.Choice.LeftOut,
        plan.Bytes,
        ReceivedBytes = received,
        Seconds = seconds,
    };

    /// <summary>What is about to happen.</summary>
    public static IEnumerable<string> Plan(DownloadPlan plan, string folder)
    {
        var (files, bytes) = (Words.Files(plan.Choice.Taken.Count), Words.Bytes(plan.Bytes));
        yield return $"{plan.Repo.Name} at {plan.Commit[..ShownCommit]}: {files}, {bytes} → {folder}";
        foreach (var group in plan.Choice.LeftOut.GroupBy(l => l.Reason))
            yield return $"left out {FileChoice.Count([.. group.Select(l => l.Path)])}: {group.Key}";
    }

    public static string Line(FileResult result) =>
        $"{result.File.Path}  {Words.Bytes(result.File.Size)}  {(result.State == FileState.Present ? "already here" : Word(result.State))}";

    public static void Show(Output to, string folder, IReadOnlyList<FileResult> results, long received, double seconds)
    {
        var counts = results.GroupBy(r => r.State).OrderBy(g => g.Key).Select(g => $"{Words.Files(g.Count())} {Word(g.Key)}");
        to.Line($"{string.Join(", ", counts)}; {Words.Bytes(received)} in {Words.Duration(seconds)} → {folder}");
    }

    private static string Word(FileState state) => state.ToString().ToLowerInvariant();
}
