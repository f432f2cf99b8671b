using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Hub;

/// <summary>What the hub says about a repository.</summary>
internal sealed partial class HubApi(HubHttp http, Retries retries, HubTiming timing)
{
    private const long LargestAnswer = 64 << 20; // a page of the list is a thousand files

    /// <summary>The commit that the revision is now. All else is asked of it, so that the files belong together.</summary>
    public async Task<string> CommitAsync(HubRepo repo, CancellationToken cancelled)
    {
        var (document, _) = await GetAsync(repo, http.Endpoint.At(repo.RevisionPath), cancelled);
        using (document)
        {
            return Text(document.RootElement, "sha") is { } sha && GitHash().IsMatch(sha) ? sha : throw NotTheHub("has no commit");
        }
    }

    /// <summary>All files of a commit.</summary>
    public async Task<IReadOnlyList<HubFile>> FilesAsync(HubRepo repo, string commit, CancellationToken cancelled)
    {
        var first = http.Endpoint.At(repo.TreePath(commit));
        List<HubFile> files = [];
        HashSet<string> paths = [], pages = [];
        for (var page = first; page is not null;)
        {
            if (!pages.Add(page.Query)) throw NotTheHub("lists the same page of files twice");
            var (document, next) = await GetAsync(repo, page, cancelled);
            using (document)
            {
                if (document.RootElement.ValueKind != JsonValueKind.Array) throw NotTheHub("is no list of files");
                files.AddRange(document.RootElement.EnumerateArray().Where(e => Text(e, "type") == "file").Select(File));
            }
            // A mirror passes on the links of the hub it mirrors: only what comes after the path is taken over.
            page = next is null ? null : new UriBuilder(first) { Query = next }.Uri;
        }
        if (files.FirstOrDefault(f => !LocalPath.IsSafe(f.Path)) is { } bad)
            throw NotTheHub($"names a file outside of the repository, '{Printable(bad.Path)}'");
        if (files.FirstOrDefault(f => !paths.Add(f.Path)) is { } twice) throw NotTheHub($"names a file twice, {twice.Path}");
        return files;
    }

    private Task<(JsonDocument Document, string? Next)> GetAsync(HubRepo repo, Uri uri, CancellationToken cancelled) =>
        retries.RunAsync($"asking about {repo.Name}", async () =>
        {
            using var answer = await http.GetAsync(uri, from: 0, unchanged: null, cancelled);
            if (answer.StatusCode != HttpStatusCode.OK)
                throw HubRefusal.Of(answer, repo.Name, own: true, repo, http.Endpoint, timing);
            var bytes = await http.WatchAsync(async silent =>
            {
                await answer.Content.LoadIntoBufferAsync(LargestAnswer, silent);
                return await answer.Content.ReadAsByteArrayAsync(silent);
            }, cancelled);
            var next = answer.Headers.TryGetValues("Link", out var links) ? NextLink().Match(string.Join(", ", links)) : null;
            return (Parse(bytes), next is { Success: true } ? next.Groups["query"].Value : null);
        }, reached: () => 0, cancelled);

    private JsonDocument Parse(byte[] bytes)
    {
        try
        {
            return JsonDocument.Parse(bytes);
        }
        catch (JsonException)
        {
            throw NotTheHub("is not JSON");
        }
    }

    private HubFile File(JsonElement entry)
    {
        var path = Text(entry, "path") ?? throw NotTheHub("has a file without a path");
        var lfs = entry.TryGetProperty("lfs", out var found) && found.ValueKind == JsonValueKind.Object ? found : (JsonElement?)null;
        var file = lfs is { } large
            ? new HubFile(path, Number(large, "size"), Text(large, "oid"), GitOid: null)
            : new HubFile(path, Number(entry, "size"), Sha256: null, Text(entry, "oid"));
        var known = file.Sha256 is { } sha ? Sha256().IsMatch(sha) : lfs is null && file.GitOid is { } oid && GitHash().IsMatch(oid);
        return known && file.Size >= 0 ? file
            : throw NotTheHub($"has no size or hash of {Printable(path)}, so that it could not be checked");
    }

    private CommandFailedException NotTheHub(string what) =>
        new($"{http.Endpoint.At("")}: the answer {what}; is {HubEndpoint.AddressVariable} a Hugging Face hub?");

    private static string Printable(string text) => new([.. text.Select(c => char.IsControl(c) ? '?' : c)]);

    private static string? Text(JsonElement entry, string name) =>
        entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString() : null;

    /// <summary>-1 if there is none.</summary>
    private static long Number(JsonElement entry, string name) => entry.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) ? number : -1;

    [GeneratedRegex(@"^[0-9a-f]{40}\z")]
    private static partial Regex GitHash();

    [GeneratedRegex(@"^[0-9a-f]{64}\z")]
    private static partial Regex Sha256();

    [GeneratedRegex("""<[^?>]*(?<query>\?[^>]*)>[^,<]*;\s*rel="?next\b""")]
    private static partial Regex NextLink();
}
