using Phi3VCluster.Client.Hub;
using Phi3VCluster.Client.Tests.Server;

namespace Phi3VCluster.Client.Tests;

/// <summary>A hub, a folder, and a clock that is only looked at: waits are noted down, not waited.</summary>
internal sealed class DownloadSandbox : IAsyncDisposable
{
    private readonly List<TimeSpan> _waits = [];
    private readonly List<string> _said = [];
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-hub-").FullName;

    public DownloadSandbox(RepoKind kind = RepoKind.Model)
    {
        Repo = new(kind, "tiny/phi", "main");
        Hub = new(Repo.PagePath[1..]);
        Timing = new()
        {
            Chance = () => 1,
            Silence = TimeSpan.FromSeconds(20), // longer than any test, on a busy machine too
            Delay = (wait, cancelled) =>
            {
                lock (_waits) _waits.Add(wait);
                return Task.Delay(1, cancelled);
            },
        };
    }

    public FakeHub Hub { get; }

    public HubRepo Repo { get; set; }

    public HubTiming Timing { get; set; }

    public string? Token { get; set; }

    public IReadOnlyList<double> WaitSeconds
    {
        get { lock (_waits) return [.. _waits.Select(w => w.TotalSeconds)]; }
    }

    public IReadOnlyList<string> Said
    {
        get { lock (_said) return [.. _said]; }
    }

    public string At(string path) => Path.Combine(_folder, path);

    public byte[] Read(string path) => File.ReadAllBytes(At(path));

    /// <summary>Every file of the folder, partial ones too.</summary>
    public IReadOnlyList<string> FilesHere() =>
    [
        .. Directory.EnumerateFiles(_folder, "*", SearchOption.AllDirectories)
            .Select(f => Path.GetRelativePath(_folder, f)).Order(StringComparer.Ordinal),
    ];

    public Task<DownloadPlan> PlanAsync(params string[] includes) =>
        UseAsync((download, cancelled) => download.PlanAsync(Repo, includes, cancelled), default);

    /// <summary>Plans and fetches, as a command does.</summary>
    public Task<IReadOnlyList<FileResult>> DownloadAsync(int parallel = 4, CancellationToken cancelled = default) => UseAsync(
        async (download, token) =>
            await download.FetchAsync(await download.PlanAsync(Repo, [], token), _folder, parallel, _ => { }, token), cancelled);

    public async ValueTask DisposeAsync()
    {
        await Hub.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<T> UseAsync<T>(Func<HubDownload, CancellationToken, Task<T>> use, CancellationToken cancelled)
    {
        using var http = new HubHttp(new(Hub.Address, Token), Timing);
        return await use(new(http, Timing, new(line => { lock (_said) _said.Add(line); })), cancelled);
    }
}
