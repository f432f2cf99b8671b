using Microsoft.Win32.SafeHandles;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Images that came out of parquet files, in one temporary file: a parquet image can only be had by decoding its whole row group, which a
/// shuffled epoch would do anew for every row. The file has no name while it is used, so nothing is left behind however the process ends.
/// </summary>
internal sealed class ImageSpill : IDisposable
{
    private readonly SafeFileHandle _file;
    private long _end;

    public ImageSpill()
    {
        var path = Path.Combine(Path.GetTempPath(), $"phi3v-images-{Guid.NewGuid():N}");
        _file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        File.Delete(path);
    }

    /// <summary>Not for two threads at once; what was added can be read by any.</summary>
    public IImageSource Add(ReadOnlySpan<byte> image, string description)
    {
        RandomAccess.Write(_file, image, _end);
        var source = new SpilledImage(_file, _end, image.Length, description);
        _end += image.Length;
        return source;
    }

    public void Dispose() => _file.Dispose();

    private sealed class SpilledImage(SafeFileHandle file, long offset, int length, string description) : IImageSource
    {
        public string Description => description;

        public byte[] Read()
        {
            var bytes = new byte[length];
            for (var done = 0; done < length;)
            {
                var count = RandomAccess.Read(file, bytes.AsSpan(done), offset + done);
                if (count == 0) throw new InputException($"{description}: its temporary copy in {Path.GetTempPath()} is cut short; check the disk.");
                done += count;
            }
            return bytes;
        }
    }
}
