using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Hub;

/// <summary>What is to be fetched: files of one commit.</summary>
internal sealed record DownloadPlan(HubRepo Repo, string Commit, FileChoice Choice)
{
    public long Bytes => Choice.Taken.Sum(f => f.Size);
}

/// <summary>A repository's files into a folder, several at a time.</summary>
internal sealed class HubDownload(HubHttp http, HubTiming timing, DownloadProgress progress)
{
    private readonly Retries _retries = new(timing, progress.Say);

    /// <exception cref="InputException">There is no such repository, it may not be read, or nothing in it is taken.</exception>
    public async Task<DownloadPlan> PlanAsync(HubRepo repo, IReadOnlyList<string> includes, CancellationToken cancelled)
    {
        var api = new HubApi(http, _retries, timing);
        var commit = await api.CommitAsync(repo, cancelled);
        return new(repo, commit, FileChoice.Of(repo, await api.FilesAsync(repo, commit, cancelled), includes));
    }

    /// <summary>A file that cannot be had does not keep the others from coming; a hub or a disk that fails does.</summary>
    /// <param name="finished">Told of each file, from any thread.</param>
    public async Task<IReadOnlyList<FileResult>> FetchAsync(
        DownloadPlan plan, string folder, int parallel, Action<FileResult> finished, CancellationToken cancelled)
    {
        var results = new FileResult[plan.Choice.Taken.Count];
        var options = new ParallelOptions { MaxDegreeOfParallelism = parallel, CancellationToken = cancelled };
        await Parallel.ForEachAsync(Enumerable.Range(0, results.Length), options, async (i, stopped) =>
        {
            results[i] = await FetchAsync(plan, plan.Choice.Taken[i], folder, stopped);
            finished(results[i]);
        });
        return results;
    }

    private async Task<FileResult> FetchAsync(DownloadPlan plan, HubFile file, string folder, CancellationToken cancelled)
    {
        progress.Begin(file);
        try
        {
            var download = new FileDownload(http, _retries, timing, plan.Repo, plan.Commit, progress);
            return new(file, await download.RunAsync(file, LocalPath.In(folder, file.Path), cancelled));
        }
        catch (FileFailedException error)
        {
            return new(file, FileState.Failed, error.Message);
        }
        finally
        {
            progress.End(file);
        }
    }
}
