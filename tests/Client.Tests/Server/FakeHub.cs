using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace Phi3VCluster.Client.Tests.Server;

/// <summary>A file of the hub. Tests change what it says about itself.</summary>
/// <param name="Large">In large file storage: known by its SHA-256, and kept on another host if there is one.</param>
public sealed record FakeFile(string Path, byte[] Bytes, bool Large)
{
    public long Size { get; init; } = Bytes.Length;

    public string Hash { get; init; } = Convert.ToHexStringLower(Large
        ? SHA256.HashData(Bytes)
        : SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {Bytes.Length}\0"), .. Bytes]));
}

/// <summary>
/// The part of the hub's HTTP API that is used: a revision's commit, a commit's files in pages, and the files, ranges included. What is
/// put in <see cref="Next"/> happens first.
/// </summary>
public sealed class FakeHub : IAsyncDisposable
{
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private readonly ConcurrentDictionary<string, FakeFile> _files = new();
    private readonly ConcurrentDictionary<string, ConcurrentQueue<Fault>> _next = new();
    private readonly LocalServer _server, _storage;
    private readonly string _api, _resolve;

    /// <param name="repo">A model's, or datasets/ and a dataset's.</param>
    public FakeHub(string repo = "tiny/phi")
    {
        _api = $"/api/{(repo.StartsWith("datasets/", StringComparison.Ordinal) ? "" : "models/")}{repo}";
        _resolve = $"/{repo}/resolve/{Commit}/";
        _server = new((exchange, end) => HandleAsync(exchange, storage: false, end));
        _storage = new((exchange, end) => HandleAsync(exchange, storage: true, end));
    }

    public Uri Address => _server.Address;

    public IReadOnlyList<Request> Requests => _server.Requests;

    /// <summary>Those to the host where large files are kept.</summary>
    public IReadOnlyList<Request> StorageRequests => _storage.Requests;

    /// <summary>Whether large files are on a host of their own.</summary>
    public bool HasStorage { get; set; }

    public int PageSize { get; set; } = 1000;

    public FakeFile Add(string path, byte[] bytes, bool large = false) => Add(new FakeFile(path, bytes, large));

    public FakeFile Add(FakeFile file) => _files[file.Path] = file;

    public void Remove(string path) => _files.TryRemove(path, out _);

    /// <param name="what">"revision", "tree", or a file's path.</param>
    public void Next(string what, params Fault[] faults) => _next[what] = new(faults);

    /// <summary>Those for one file, wherever it is.</summary>
    public IReadOnlyList<Request> RequestsFor(string path) =>
        [.. (HasStorage ? StorageRequests : Requests).Where(r => r.Target.Split('?')[0].EndsWith($"/{path}", StringComparison.Ordinal))];

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await _storage.DisposeAsync();
    }

    private async Task HandleAsync(Exchange exchange, bool storage, CancellationToken end)
    {
        var target = exchange.Request.Target;
        var path = Uri.UnescapeDataString(target.Split('?')[0]);
        var what = path.StartsWith($"{_api}/revision/", StringComparison.Ordinal) ? "revision"
            : path == $"{_api}/tree/{Commit}" ? "tree"
            : path.StartsWith(_resolve, StringComparison.Ordinal) ? path[_resolve.Length..]
            : storage ? path["/storage/".Length..] : "";
        var file = _files.GetValueOrDefault(what);
        var elsewhere = HasStorage && !storage && file is { Large: true };
        if (!elsewhere && _next.GetValueOrDefault(what)?.TryDequeue(out var fault) == true) await fault(exchange, file, end);
        else if (what == "revision") await exchange.AnswerAsync(200, Encoding.UTF8.GetBytes($$"""{"id": "1", "sha": "{{Commit}}"}"""));
        else if (what == "tree") await ListAsync(exchange);
        else if (file is null) await exchange.AnswerAsync(404, [], ("X-Error-Code", what == "" ? "RepoNotFound" : "EntryNotFound"));
        else if (elsewhere) await exchange.AnswerAsync(302, [], ("Location", $"{_storage.Address}storage/{file.Path}?signature=1"));
        else await Faults.None(exchange, file, end);
    }

    private async Task ListAsync(Exchange exchange)
    {
        var cursor = exchange.Request.Target.Split("cursor=") is [_, var text] ? int.Parse(text, CultureInfo.InvariantCulture) : 0;
        FakeFile[] all = [.. _files.Values.OrderBy(f => f.Path, StringComparer.Ordinal)];
        var page = all.Skip(cursor).Take(PageSize).Select(f => (JsonNode)(f.Large
            ? new JsonObject
            {
                ["type"] = "file",
                ["oid"] = Commit,
                ["size"] = f.Size,
                ["path"] = f.Path,
                ["lfs"] = new JsonObject { ["oid"] = f.Hash, ["size"] = f.Size, ["pointerSize"] = 134 },
            }
            : new JsonObject { ["type"] = "file", ["oid"] = f.Hash, ["size"] = f.Size, ["path"] = f.Path }));
        var folder = new JsonObject { ["type"] = "directory", ["oid"] = Commit, ["size"] = 0, ["path"] = "folder" };
        var next = cursor + PageSize;
        var link = $"<https://huggingface.co{_api}/tree/{Commit}?recursive=true&limit={PageSize}&cursor={next}>; rel=\"next\"";
        await exchange.AnswerAsync(200, Encoding.UTF8.GetBytes(new JsonArray([folder, .. page]).ToJsonString()),
            next < all.Length ? [("Link", link)] : (IEnumerable<(string, string)>)[]);
    }
}
