using System.Diagnostics;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Hub;

namespace Phi3VCluster.Client.Views;

/// <summary>Shows how far a download is, until it ends.</summary>
internal sealed class DownloadFollower(Output output, DownloadProgress progress, long totalBytes)
{
    private static readonly TimeSpan LiveEvery = TimeSpan.FromMilliseconds(200), PlainEvery = TimeSpan.FromSeconds(15);

    private readonly Stopwatch _clock = Stopwatch.StartNew();

    public async Task<T> UntilEndAsync<T>(Task<T> work)
    {
        if (!output.IsLive) return await ShowAsync(work, PlainEvery, () => output.Line(Summary()));
        var region = new LiveRegion(output);
        try
        {
            return await ShowAsync(work, LiveEvery, () => region.Draw(Lines()));
        }
        finally
        {
            region.Clear();
        }
    }

    private static async Task<T> ShowAsync<T>(Task<T> work, TimeSpan every, Action show)
    {
        while (await Task.WhenAny(work, Task.Delay(every)) != work) show();
        return await work;
    }

    private IEnumerable<string> Lines()
    {
        yield return Bar.Of(totalBytes > 0 ? (double)progress.DoneBytes / totalBytes : 1, output);
        yield return Summary();
        if (progress.LastSaid is { } said) yield return said;
        foreach (var (file, reached) in progress.Active)
            yield return $"{Words.Bytes(reached),8} of {Words.Bytes(file.Size),8}  {file.Path}";
    }

    private string Summary()
    {
        var (done, perSecond) = (progress.DoneBytes, progress.ReceivedBytes / _clock.Elapsed.TotalSeconds);
        var left = perSecond > 0 ? $"  ETA {Words.Duration((totalBytes - done) / perSecond)}" : "";
        return $"{Words.Bytes(done)} of {Words.Bytes(totalBytes)}  {Words.Bytes(perSecond)}/s{left}";
    }
}
