using Microsoft.Win32.SafeHandles;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// What was decoded from parquet files, in one temporary file: a row can only be had by decoding its whole row group, which a shuffled
/// epoch would do anew for every row. The file has no name while it is used, so nothing is left behind however the process ends.
/// </summary>
internal sealed class Spill : IDisposable
{
    private readonly SafeFileHandle _file;
    private long _end;

    /// <exception cref="InputException">There is no room for temporary files, or no permission.</exception>
    public Spill()
    {
        var path = Path.Combine(Path.GetTempPath(), $"phi3v-data-{Guid.NewGuid():N}");
        try
        {
            _file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{Path.GetTempPath()}: rows of parquet files cannot be unpacked there ({e.Message}); "
                + "make room, or set TMPDIR.");
        }
    }

    /// <summary>Not for two threads at once; what was added can be read by any.</summary>
    public SpillRange Add(ReadOnlySpan<byte> bytes)
    {
        RandomAccess.Write(_file, bytes, _end);
        var range = new SpillRange(_end, bytes.Length);
        _end += bytes.Length;
        return range;
    }

    /// <exception cref="InputException">The file has been cut short.</exception>
    public byte[] Read(SpillRange range)
    {
        var bytes = new byte[range.Length];
        for (var done = 0; done < range.Length;)
        {
            var count = RandomAccess.Read(_file, bytes.AsSpan(done), range.Offset + done);
            if (count == 0) throw new InputException($"{Path.GetTempPath()}: the copy of parquet rows is cut short; check the disk.");
            done += count;
        }
        return bytes;
    }

    public void Dispose() => _file.Dispose();
}

/// <summary>Bytes in a <see cref="Spill"/>.</summary>
internal readonly record struct SpillRange(long Offset, int Length);

/// <summary>An image that was embedded in a parquet file. Hub images are turned upright, as the <c>datasets</c> library does.</summary>
internal sealed class SpilledImage(Spill spill, SpillRange range, string description) : IImageSource
{
    public SpillRange Range => range;
    public string Description => description;
    public bool IsTurnedUpright => true;

    public byte[] Read() => spill.Read(range);

    public byte[] ReadBeginning(int most) => spill.Read(range with { Length = Math.Min(most, range.Length) });
}
