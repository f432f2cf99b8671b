using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>
/// Brings shard files to seats that have another disk, and takes what others bring: where nodes share no folder, a checkpoint of a sharded
/// state is whole on some of them all the same. What arrives is named as if its rank had written it there.
/// </summary>
public sealed class ShardTransfer : IDisposable
{
    private const int MostNoticeBytes = 4096, ChunkBytes = 1 << 20;

    private readonly IPeerEndpoint _endpoint;
    private readonly FolderStore _store;
    private readonly long _mostBytes;
    private readonly Action<string, string> _failed;
    private readonly OwnedThreads _threads = new();

    /// <param name="endpoint">Owned from here on.</param>
    /// <param name="store">Where files that are brought go.</param>
    /// <param name="mostBytes">Larger files are refused.</param>
    /// <param name="failed">Told the checkpoint's folder, and why a file of it could not be taken.</param>
    public ShardTransfer(IPeerEndpoint endpoint, FolderStore store, long mostBytes, Action<string, string> failed)
    {
        (_endpoint, _store, _mostBytes, _failed) = (endpoint, store, mostBytes, failed);
        _threads.Start("shards-accept", () =>
        {
            while (true)
            {
                var peer = _endpoint.Accept(_threads.Stop);
                _threads.Start("shards-peer", () => Serve(peer));
            }
        });
    }

    /// <summary>Where others bring files.</summary>
    public string Address => _endpoint.Address;

    /// <summary>Brings a file of this disk to another seat's, for the calling thread, and waits until it is safe there.</summary>
    /// <param name="address">That seat's <see cref="Address"/>.</param>
    /// <param name="file">In <paramref name="part"/>'s folder.</param>
    /// <exception cref="IOException">The seat is gone, or could not take it.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came first.</exception>
    public void Send(string address, CheckpointPart part, CheckpointFile file, CancellationToken stop)
    {
        using var peer = _endpoint.Connect(address, stop);
        var notice = JsonSerializer.SerializeToUtf8Bytes(
            new Notice(part.Step, part.Generation, part.Rank, part.WorldSize, file.Bytes, file.Sha256));
        Span<byte> length = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, notice.Length);
        peer.Send(length, stop);
        peer.Send(notice, stop);
        using var stream = File.OpenRead(Path.Combine(part.Folder, file.Name));
        var buffer = new byte[ChunkBytes];
        for (int read; (read = stream.Read(buffer)) > 0;) peer.Send(buffer.AsSpan(0, read), stop);
        peer.Receive(buffer.AsSpan(0, 1), stop); // it is on the disk; a peer that failed closes instead
    }

    public void Dispose()
    {
        _threads.Dispose();
        _endpoint.Dispose();
    }

    private void Serve(IPeerChannel peer)
    {
        using (peer)
        {
            string? folder = null;
            try
            {
                var notice = Receive(peer);
                folder = _store.FolderOf(notice.Step, notice.Generation);
                Take(peer, notice, folder);
                peer.Send([1], _threads.Stop);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
            {
                if (folder is not null) _failed(folder, error.Message);
            }
        }
    }

    private Notice Receive(IPeerChannel peer)
    {
        var bytes = new byte[sizeof(int)];
        peer.Receive(bytes, _threads.Stop);
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        if (length is < 2 or > MostNoticeBytes) throw new IOException($"no shard is announced in {length} bytes");
        bytes = new byte[length];
        peer.Receive(bytes, _threads.Stop);
        var notice = JsonSerializer.Deserialize<Notice>(bytes) ?? throw new IOException("no shard is announced");
        if (notice.Step < 0 || notice.Generation < 0 || notice.Rank < 0 || notice.Rank >= notice.WorldSize
            || notice.Bytes < 0 || notice.Bytes > _mostBytes) throw new IOException($"no shard of this run is {notice}");
        return notice;
    }

    /// <summary>Whole and flushed, or not there.</summary>
    private void Take(IPeerChannel peer, Notice notice, string folder)
    {
        var path = Path.Combine(folder, ShardFile.NameOf(notice.Rank, notice.WorldSize));
        if (File.Exists(Path.Combine(folder, CheckpointManifest.FileName))) throw new IOException($"{folder} is complete");
        Directory.CreateDirectory(folder);
        var temporary = $"{path}.{Path.GetRandomFileName()}.tmp";
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                var buffer = new byte[(int)Math.Min(ChunkBytes, notice.Bytes)];
                for (var left = notice.Bytes; left > 0;)
                {
                    var chunk = buffer.AsSpan(0, (int)Math.Min(buffer.Length, left));
                    peer.Receive(chunk, _threads.Stop);
                    hash.AppendData(chunk);
                    stream.Write(chunk);
                    left -= chunk.Length;
                }
                stream.Flush(flushToDisk: true);
            }
            if (Convert.ToHexString(hash.GetHashAndReset()) != notice.Sha256) throw new IOException($"{path} was damaged on its way");
            File.Move(temporary, path, overwrite: true);
            FolderSync.Flush(folder);
        }
        finally
        {
            File.Delete(temporary); // left only by a failure
        }
        new CheckpointFile(Path.GetFileName(path), notice.Bytes, notice.Sha256).Tell(folder);
    }

    /// <summary>What is ahead of a file's bytes.</summary>
    private sealed record Notice(long Step, long Generation, int Rank, int WorldSize, long Bytes, string Sha256);
}
