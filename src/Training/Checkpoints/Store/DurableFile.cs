using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>A small file that is there whole or not at all, power cuts included.</summary>
internal static class DurableFile
{
    public static void Write(string path, ReadOnlySpan<byte> bytes)
    {
        var temporary = $"{path}.{Path.GetRandomFileName()}.tmp";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew))
            {
                stream.Write(bytes);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
            FolderSync.Flush(Path.GetDirectoryName(path)!);
        }
        finally
        {
            File.Delete(temporary); // left only by a failure
        }
    }
}
