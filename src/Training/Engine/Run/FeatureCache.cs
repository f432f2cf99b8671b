using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What a frozen vision model makes of each distinct picture, kept over the epochs: in memory while there is room, then in a file.
/// Shared by a run's ranks of one process, which are dealt other samples each epoch. Thread-safe.
/// </summary>
internal sealed class FeatureCache : IDisposable
{
    /// <summary>Of what is free when the cache is made.</summary>
    private const double MemoryShare = 0.25, DiskShare = 0.5;

    private static readonly Lock Sharing = new();
    private static readonly Dictionary<string, (FeatureCache Cache, int Users)> Shared = [];

    private readonly ConcurrentDictionary<UInt128, Entry> _entries = new();
    private readonly string _run, _path;
    private readonly Lock _storing = new();
    private long _memoryLeft, _diskLeft, _fileEnd;
    private FileStream? _file;

    private FeatureCache(string run, long memoryBytes, long diskBytes)
    {
        (_run, _memoryLeft, _diskLeft) = (run, memoryBytes, diskBytes);
        _path = Path.Combine(Path.GetTempPath(), $"phi3v-features-{Guid.NewGuid():n}");
    }

    /// <summary>Where what does not fit into memory goes.</summary>
    public string FilePath => _path;

    /// <summary>Pictures kept.</summary>
    public int Count => _entries.Count;

    /// <param name="run">Ranks that name the same run share one cache; each disposes it.</param>
    /// <param name="policy">auto | memory | disk | none.</param>
    /// <returns>Null where nothing is to be kept.</returns>
    public static FeatureCache? Open(string run, string policy)
    {
        if (policy == "none") return null;
        lock (Sharing)
        {
            var (cache, users) = Shared.GetValueOrDefault(run);
            cache ??= new(
                run, policy == "disk" ? 0 : (long)(MemoryShare * HostMemory.Available),
                policy == "memory" ? 0 : (long)(DiskShare * FreeDiskBytes()));
            Shared[run] = (cache, users + 1);
            return cache;
        }
    }

    /// <summary>As <see cref="Open"/>, with sizes of one's own, and shared with nobody.</summary>
    public static FeatureCache Private(long memoryBytes, long diskBytes) => new("", memoryBytes, diskBytes);

    public static UInt128 KeyOf(EncodedImage image)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(image.Rgb, hash);
        // The same bytes in another shape differ.
        return MemoryMarshal.Read<UInt128>(hash) ^ (UInt128)((ulong)image.Height << 32 | (uint)image.Width);
    }

    public byte[]? Find(UInt128 key) => _entries.TryGetValue(key, out var entry) ? entry.InMemory ?? ReadFile(entry) : null;

    /// <summary>Keeps the bytes if there is still room.</summary>
    public void Add(UInt128 key, byte[] bytes)
    {
        lock (_storing)
        {
            if (_entries.ContainsKey(key)) return;
            if (bytes.Length <= _memoryLeft)
            {
                _memoryLeft -= bytes.Length;
                _entries[key] = new(bytes, 0, 0);
            }
            else if (bytes.Length <= _diskLeft && Write(bytes) is { } offset)
            {
                _diskLeft -= bytes.Length;
                _entries[key] = new(null, offset, bytes.Length);
            }
        }
    }

    /// <summary>Gives its room on the disk back: what was there is computed again.</summary>
    public void LeaveDisk()
    {
        lock (_storing)
        {
            _diskLeft = 0;
            foreach (var (key, entry) in _entries)
                if (entry.InMemory is null) _entries.TryRemove(key, out _);
            _file?.SetLength(0);
        }
    }

    public void Dispose()
    {
        lock (Sharing)
        {
            if (Shared.TryGetValue(_run, out var shared) && ReferenceEquals(shared.Cache, this))
            {
                if (shared.Users > 1)
                {
                    Shared[_run] = (this, shared.Users - 1);
                    return;
                }
                Shared.Remove(_run);
            }
        }
        _file?.Dispose();
        _entries.Clear();
    }

    private long? Write(byte[] bytes)
    {
        try
        {
            _file ??= new FileStream(_path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
            RandomAccess.Write(_file.SafeFileHandle, bytes, _fileEnd);
            return (_fileEnd += bytes.Length) - bytes.Length;
        }
        catch (IOException) // the disk is full: what is there already stays of use
        {
            _diskLeft = 0;
            return null;
        }
    }

    /// <returns>Null where the file does not hold it any more.</returns>
    private byte[]? ReadFile(Entry entry)
    {
        var bytes = new byte[entry.Length];
        for (var done = 0; done < bytes.Length;)
        {
            var read = RandomAccess.Read(_file!.SafeFileHandle, bytes.AsSpan(done), entry.Offset + done);
            if (read == 0) return null; // somebody cut the file short: what it held is computed again
            done += read;
        }
        return bytes;
    }

    private static long FreeDiskBytes() => new DriveInfo(Path.GetTempPath()).AvailableFreeSpace;

    /// <param name="InMemory">Null where it is in the file.</param>
    private sealed record Entry(byte[]? InMemory, long Offset, int Length);
}
