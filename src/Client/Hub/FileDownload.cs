using System.Buffers;
using System.Net;
using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Hub;

/// <summary>
/// Fetches one file: what is there already is kept, what comes is checked, and it appears under its name only when all is right.
/// </summary>
internal sealed class FileDownload(HubHttp http, Retries retries, HubTiming timing, HubRepo repo, string commit, DownloadProgress progress)
{
    private const int BufferBytes = 1 << 17;
    private const int MostWhole = 2; // a second time from the first byte: what was damaged on its way is not damaged again

    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <exception cref="FileFailedException">The server has other bytes than it says.</exception>
    public async Task<FileState> RunAsync(HubFile file, string target, CancellationToken cancelled)
    {
        if (await IsHereAsync(file, target, cancelled)) return Present(file);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        using var partial = await OpenAsync(file, target, cancelled);
        if (await IsHereAsync(file, target, cancelled)) // another command may have finished it meanwhile
        {
            partial.Delete();
            return Present(file);
        }
        await partial.ReadAsync(longest: file.Size, cancelled);
        progress.Reached(file, partial.Length);
        for (var whole = partial.HasEarlier ? 0 : 1; await FillAsync(file, partial, cancelled) is { } wrong; whole++)
        {
            partial.Restart();
            progress.Reached(file, 0);
            if (whole == MostWhole) throw new FileFailedException($"{wrong}, {MostWhole} times");
            progress.Say($"{file.Path}: {wrong}; fetching it anew");
            await timing.Delay(Pause, cancelled);
        }
        partial.Publish();
        return partial.HasEarlier ? FileState.Resumed : FileState.Downloaded;
    }

    private async Task<bool> IsHereAsync(HubFile file, string target, CancellationToken cancelled)
    {
        while (true)
        {
            try
            {
                return await ContentHash.FitsAsync(target, file, cancelled);
            }
            catch (IOException error) when (PartialFile.IsLocked(error)) // whoever put it there has not let go of it yet
            {
                await timing.Delay(Pause, cancelled);
            }
        }
    }

    private FileState Present(HubFile file)
    {
        progress.Reached(file, file.Size);
        return FileState.Present;
    }

    private async Task<PartialFile> OpenAsync(HubFile file, string target, CancellationToken cancelled)
    {
        for (var waits = 0; ; waits++)
        {
            if (PartialFile.TryOpen(target, file) is { } partial) return partial;
            if (waits == 1) progress.Say($"{file.Path}: another command is fetching it; waiting for that");
            await timing.Delay(Pause, cancelled);
        }
    }

    /// <returns>What is wrong with the bytes; null: they are the file's.</returns>
    private async Task<string?> FillAsync(HubFile file, PartialFile partial, CancellationToken cancelled)
    {
        try
        {
            while (partial.Length < file.Size)
                await retries.RunAsync(file.Path, () => FetchAsync(file, partial, cancelled), () => partial.Length, cancelled);
        }
        catch (WrongContentException error)
        {
            return error.Message;
        }
        var kind = file.Sha256 is null ? "git hash" : "SHA-256";
        return partial.CurrentHash() is var hash && hash != file.Hash ? $"its {kind} is {hash} and should be {file.Hash}" : null;
    }

    /// <summary>One request for all that is missing.</summary>
    private async Task<bool> FetchAsync(HubFile file, PartialFile partial, CancellationToken cancelled)
    {
        using var answer = await http.GetAsync(http.Endpoint.At(repo.FilePath(commit, file.Path)), partial.Length, partial.Tag, cancelled);
        switch (answer.StatusCode)
        {
            case HttpStatusCode.OK:
                if (partial.Length > 0) Restart(file, partial); // the server does not do ranges, or has other bytes now
                break;
            case HttpStatusCode.PartialContent:
                CheckRange(answer, partial.Length, file.Size);
                break;
            case HttpStatusCode.RequestedRangeNotSatisfiable when partial.Length > 0:
                var at = partial.Length;
                Restart(file, partial);
                throw new PassingException($"the server has nothing after byte {at} of {file.Size}");
            default:
                var own = http.Endpoint.IsOwn(answer.RequestMessage!.RequestUri!);
                throw HubRefusal.Of(answer, file.Path, own, repo, http.Endpoint, timing);
        }
        if (answer.Content.Headers.ContentLength is { } length && length != file.Size - partial.Length)
            throw new WrongContentException($"the server has {partial.Length + length} bytes and should have {file.Size}");
        partial.Tag = answer.Headers.ETag is { IsWeak: false } tag ? tag : null;
        await CopyAsync(answer, file, partial, cancelled);
        return partial.Length == file.Size ? true
            : throw new PassingException($"the connection ended after byte {partial.Length} of {file.Size}");
    }

    private async Task CopyAsync(HttpResponseMessage answer, HubFile file, PartialFile partial, CancellationToken cancelled)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            await using var body = await http.WatchAsync(answer.Content.ReadAsStreamAsync, cancelled);
            while (await http.WatchAsync(silent => body.ReadAsync(buffer, silent).AsTask(), cancelled) is > 0 and var read)
            {
                if (partial.Length + read > file.Size) throw new WrongContentException($"the server sends more than its {file.Size} bytes");
                partial.Append(buffer.AsSpan(0, read));
                progress.Received(file, partial.Length, read);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Restart(HubFile file, PartialFile partial)
    {
        partial.Restart();
        progress.Reached(file, 0);
    }

    private static void CheckRange(HttpResponseMessage answer, long from, long size)
    {
        var range = answer.Content.Headers.ContentRange;
        if (range?.From != from || (range.HasLength && range.Length != size))
            throw new WrongContentException($"the server answers bytes {from}- with '{range}'");
    }
}
