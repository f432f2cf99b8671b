using System.Text;

namespace Phi3VCluster.Spec;

/// <summary>
/// A small file that appears whole or not at all, whoever reads it meanwhile: it is written beside its place and renamed. It is not
/// flushed: a power cut may take it.
/// </summary>
public static class AtomicFile
{
    public static void Write(string path, string text) => Write(path, Encoding.UTF8.GetBytes(text));

    public static void Write(string path, ReadOnlySpan<byte> bytes)
    {
        var aside = $"{path}.{Path.GetRandomFileName()}.partial";
        try
        {
            File.WriteAllBytes(aside, bytes);
            File.Move(aside, path, overwrite: true);
        }
        finally
        {
            File.Delete(aside); // left only by a failure
        }
    }
}
