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
    private volatile Refusal? _refused; // the last
    private volatile bool _hasWritten;
    private long _newest, _newestAt;

    /// <summary>The step of the newest complete checkpoint that this seat wrote; 0 for none.</summary>
    public long NewestStep => Interlocked.Read(ref _newest);

    /// <summary>When that one was complete, UTC; long ago where there is none.</summary>
    public DateTime NewestAt => new(Interlocked.Read(ref _newestAt), DateTimeKind.Utc);

    /// <summary>Why the last one failed; null if it did not.</summary>
    public string? Problem { get; private set; }

    public bool IsBusy => _thread is { IsAlive: true };

    /// <summary>Whether the last one's shard of this rank is on the disk; others may still be waited for.</summary>
    public bool HasWritten => _hasWritten;

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
            (_waiting, _hasWritten) = (new(), false);
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

    /// <summary>A shard that a checkpoint is waiting for will not come: it will not be complete.</summary>
    public void Refuse(string folder, string problem) => _refused = new(folder, problem);

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
            if (part is { IsKeptHere: true, Complete: null }) own.Tell(part.Folder);
            _hasWritten = true;
            var problem = Bring(part, own, stop); // which costs the copy there, not the one here
            if (part.Complete is not { } complete)
            {
                Problem = problem;
                return;
            }
            var others = Enumerable.Range(0, part.WorldSize).Where(rank => rank != part.Rank)
                .Select(rank => Await(part.Folder, ShardFile.NameOf(rank, part.WorldSize), stop)).ToList();
            var records = Path.Combine(part.Folder, StoredCheckpoint.RecordsFile);
            DurableFile.Write(records, System.Text.Encoding.UTF8.GetBytes(complete.History()));
            (complete.Manifest with { Files = [own, .. others, CheckpointFile.Of(records)] }).Write(part.Folder);
            CheckpointFile.RemoveTold(part.Folder);
            Interlocked.Exchange(ref _newestAt, DateTime.UtcNow.Ticks);
            Interlocked.Exchange(ref _newest, complete.Manifest.Step);
            Problem = problem ?? Retain(complete, part.Folder);
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
            if (!part.IsKeptHere) RemoveShard(part.Folder, ShardFile.NameOf(part.Rank, part.WorldSize));
            Dispose(shards);
        }
    }

    private static string? Bring(CheckpointPart part, CheckpointFile file, CancellationToken stop)
    {
        try
        {
            part.Bring?.Invoke(file, stop);
            return null;
        }
        catch (IOException error)
        {
            return $"{part.Folder}: on another disk: {error.Message}";
        }
    }

    /// <summary>What an older checkpoint leaves behind costs room, and not the one that is complete.</summary>
    private static string? Retain(CheckpointCompletion complete, string folder)
    {
        try
        {
            complete.Retain(folder);
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return $"{folder}: is complete, but older ones could not be removed: {error.Message}";
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

    /// <summary>Other ranks' may be beside it.</summary>
    private static void RemoveShard(string folder, string name)
    {
        try
        {
            File.Delete(Path.Combine(folder, name));
            Directory.Delete(folder);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // the last of them takes the folder away
        }
    }

    private CheckpointFile Await(string folder, string name, CancellationToken stop)
    {
        for (var since = Environment.TickCount64; ;)
        {
            if (CheckpointFile.Told(folder, name) is { } told) return told;
            if (_refused is { } refused && refused.Folder == folder) throw new IOException(refused.Problem);
            if (Environment.TickCount64 - since > PeerPatience.TotalMilliseconds)
                throw new IOException($"{name} was not written by its rank");
            stop.ThrowIfCancellationRequested();
            stop.WaitHandle.WaitOne(Look);
        }
    }

    private static void Dispose(IReadOnlyList<StateShard> shards)
    {
        foreach (var shard in shards) shard.Dispose();
    }

    private sealed record Refusal(string Folder, string Problem);
}

/// <summary>One rank's part of a checkpoint.</summary>
/// <param name="Folder">On this rank's disk.</param>
/// <param name="Step">That is committed in it.</param>
/// <param name="WorldSize">Ranks that write shards.</param>
/// <param name="Complete">For those that make it complete on their disks; null for the others.</param>
public sealed record CheckpointPart(
    string Folder, long Step, long Generation, int Rank, int WorldSize, CheckpointCompletion? Complete)
{
    /// <summary>Whether the folder becomes a checkpoint; otherwise the shard is there only until others have it.</summary>
    public bool IsKeptHere { get; init; } = true;

    /// <summary>Brings the shard to disks that are not this rank's; null where there are none.</summary>
    public Action<CheckpointFile, CancellationToken>? Bring { get; init; }
}

/// <param name="Manifest">Its files are filled in.</param>
/// <param name="History">Makes the step records' text, which takes long after many steps: asked for on the writer's thread.</param>
/// <param name="Retain">Removes what the complete one, whose folder it is given, replaces.</param>
public sealed record CheckpointCompletion(CheckpointManifest Manifest, Func<string> History, Action<string> Retain);
