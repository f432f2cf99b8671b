using System.Globalization;
using Orleans.Storage;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Silo;

/// <summary>
/// Grain state of a silo that is a cluster of its own: a file for each grain, its etag on the first line and the state as JSON below.
/// A write is complete on disk or did not happen: it goes to a temporary file, is flushed, and is renamed.
/// </summary>
internal sealed class FileGrainStorage : IGrainStorage, IDisposable
{
    private readonly string _folder;
    private readonly IGrainStorageSerializer _serializer;
    private readonly FileStream _lock;
    private readonly Lock _writing = new();

    /// <exception cref="InputException">Another silo uses the folder.</exception>
    public FileGrainStorage(string folder, IGrainStorageSerializer serializer)
    {
        (_folder, _serializer) = (folder, serializer);
        try
        {
            Directory.CreateDirectory(folder);
            _lock = new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException(
                $"--data: the folder {folder} cannot be used, got: {e.Message} Stop the silo that uses it, or choose another folder.");
        }
    }

    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var path = PathOf(stateName, grainId);
        var (etag, state) = File.Exists(path) ? Split(File.ReadAllBytes(path)) : (null, null);
        grainState.ETag = etag;
        grainState.RecordExists = state is not null;
        grainState.State = state is null ? Activator.CreateInstance<T>() : _serializer.Deserialize<T>(state)!;
        return Task.CompletedTask;
    }

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var path = PathOf(stateName, grainId);
        var body = _serializer.Serialize(grainState.State);
        lock (_writing)
        {
            Expect(path, grainState.ETag);
            var etag = (long.Parse(grainState.ETag ?? "0", CultureInfo.InvariantCulture) + 1).ToString(CultureInfo.InvariantCulture);
            var temporary = path + ".new";
            using (var file = File.Create(temporary))
            {
                file.Write(System.Text.Encoding.ASCII.GetBytes(etag + "\n"));
                file.Write(body.ToMemory().Span);
                file.Flush(flushToDisk: true); // else a crash could leave the new name with no content
            }
            File.Move(temporary, path, overwrite: true);
            (grainState.ETag, grainState.RecordExists) = (etag, true);
        }
        return Task.CompletedTask;
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var path = PathOf(stateName, grainId);
        lock (_writing)
        {
            Expect(path, grainState.ETag);
            File.Delete(path);
        }
        (grainState.ETag, grainState.RecordExists, grainState.State) = (null, false, Activator.CreateInstance<T>());
        return Task.CompletedTask;
    }

    public void Dispose() => _lock.Dispose();

    private static void Expect(string path, string? etag)
    {
        var stored = File.Exists(path) ? Split(File.ReadAllBytes(path)).ETag : null;
        if (stored != etag) throw new InconsistentStateException($"{path} was changed by somebody else.", stored, etag);
    }

    private static (string ETag, BinaryData State) Split(byte[] content)
    {
        var end = Array.IndexOf(content, (byte)'\n');
        return (System.Text.Encoding.ASCII.GetString(content, 0, end), new BinaryData(content.AsMemory(end + 1)));
    }

    private string PathOf(string stateName, GrainId grainId) =>
        Path.Combine(_folder, $"{stateName}-{Uri.EscapeDataString(grainId.ToString())}.state");
}
