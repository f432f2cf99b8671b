using System.Text.Json;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>
/// Writes a seat's checkpoints in the background, one at a time. Every rank writes its own shards and says so in a small file beside them;
/// the rank that writes the manifest waits for all of those. What goes wrong costs the checkpoint, never the training.
/// </summary>
public sealed class CheckpointWriter : IDisposable
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan EndPatience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan PeerPatience = TimeSpan.FromMinutes(10);

    private readonly Lock _gate = new();
    private Thread? _thread;
    private CancellationTokenSource? _waiting;
    private long _newest, _newestAt;

    /// <summary>The step of the newest complete checkpoint that this seat wrote; 0 for none.</summary>
    public long NewestStep => Interlocked.Read(ref _newest);

    /// <summary>When that one was complete, UTC; long ago where there is none.</summary>
    public DateTime NewestAt => new(Interlocked.Read(ref _newestAt), DateTimeKind.Utc);

    /// <summary>Why the last one failed; null if it did not.</summary>
    public string? Problem { get; private set; }

    public bool IsBusy => _thread is { IsAlive: true };

    /// <summary>Begins to write.</summary>
    /// <param name="shards">In host memory; owned from here on.</param>
    /// <returns>False if the last one is still being written: this one is left out.</returns>
    public bool Start(CheckpointPart part, IReadOnlyList<StateShard> shards)
    {
        lock (_gate)
        {
            if (IsBusy)
            {
                Dispose(shards);
                return false;
            }
            _waiting = new();
            var stop = _waiting.Token;
            _thread = new Thread(() => Write(part, shards, stop)) { Name = "checkpoint", IsBackground = true };
            _thread.Start();
            return true;
        }
    }

    /// <summary>Waits until nothing is being written any more.</summary>
    public void Wait() => _thread?.Join();

    /// <summary>The other ranks are gone: what waits for their shards gives up.</summary>
    public void GiveUp() => _waiting?.Cancel();

    public void Dispose()
    {
        GiveUp();
        _thread?.Join(EndPatience);
    }

    /// <summary>The thread's top frame: whatever goes wrong is kept, for the run to say.</summary>
    private void Write(CheckpointPart part, IReadOnlyList<StateShard> shards, CancellationToken stop)
    {
        try
        {
            Directory.CreateDirectory(part.Folder);
            var name = ShardFile.NameOf(part.Rank, part.WorldSize);
            ShardFile.Write(Path.Combine(part.Folder, name), shards);
            FolderSync.Flush(part.Folder);
            var own = CheckpointFile.Of(Path.Combine(part.Folder, name));
            if (part.Complete is not { } complete)
            {
                FlushedFile.Write(Path.Combine(part.Folder, name + ".json"), JsonSerializer.SerializeToUtf8Bytes(own));
                Problem = null;
                return;
            }
            var others = Enumerable.Range(0, part.WorldSize).Where(rank => rank != part.Rank)
                .Select(rank => Await(Path.Combine(part.Folder, ShardFile.NameOf(rank, part.WorldSize) + ".json"), stop)).ToList();
            var records = Path.Combine(part.Folder, StoredCheckpoint.RecordsFile);
            FlushedFile.Write(records, System.Text.Encoding.UTF8.GetBytes(complete.History()));
            (complete.Manifest with { Files = [own, .. others, CheckpointFile.Of(records)] }).Write(part.Folder);
            foreach (var told in Directory.EnumerateFiles(part.Folder, "state-*.json")) File.Delete(told);
            Interlocked.Exchange(ref _newestAt, DateTime.UtcNow.Ticks);
            Interlocked.Exchange(ref _newest, complete.Manifest.Step);
            complete.Store.Retain(complete.Keep, kept: part.Folder);
            Problem = null;
        }
        catch (OperationCanceledException)
        {
            Problem = null; // the generation is over: the next writes its own
        }
        catch (Exception error)
        {
            Problem = $"{part.Folder}: {error.Message}";
            if (part.Complete is not null) Remove(part.Folder);
        }
        finally
        {
            Dispose(shards);
        }
    }

    private static void Remove(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // without a manifest it is no checkpoint, and the next one that is kept takes it away
        }
    }

    private static CheckpointFile Await(string path, CancellationToken stop)
    {
        for (var since = Environment.TickCount64; !File.Exists(path);)
        {
            if (Environment.TickCount64 - since > PeerPatience.TotalMilliseconds)
                throw new IOException($"{path} was not written by its rank");
            stop.ThrowIfCancellationRequested();
            stop.WaitHandle.WaitOne(Look);
        }
        return JsonSerializer.Deserialize<CheckpointFile>(File.ReadAllBytes(path))!;
    }

    private static void Dispose(IReadOnlyList<StateShard> shards)
    {
        foreach (var shard in shards) shard.Dispose();
    }
}

/// <summary>One rank's part of a checkpoint.</summary>
/// <param name="WorldSize">Ranks that write shards.</param>
/// <param name="Complete">For the one that makes it complete; null for the others.</param>
public sealed record CheckpointPart(string Folder, int Rank, int WorldSize, CheckpointCompletion? Complete);

/// <param name="Manifest">Its files are filled in.</param>
/// <param name="History">Makes the step records' text, which takes long after many steps: asked for on the writer's thread.</param>
/// <param name="Keep">So many of the newest stay.</param>
public sealed record CheckpointCompletion(FolderStore Store, CheckpointManifest Manifest, Func<string> History, int Keep);
