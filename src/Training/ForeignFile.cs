using System.Text;

namespace Phi3VCluster.Training;

/// <summary>
/// Says of a file that could not be read what it really is, by its first bytes: what stands in a folder in the place of weights after
/// a clone without git-lfs, a download behind a login, or a copy that was cut short.
/// </summary>
public static class ForeignFile
{
    private const int HeadBytes = 512;
    private const string Fetch = "fetch it again, for example with `phi3v download`";

    private static readonly (byte[] Magic, string What)[] Kinds =
    [
        (Ascii("%PDF"), "a PDF document"), (Ascii("PK\x03\x04"), "a zip archive, as PyTorch writes pickles"),
        (Ascii("GGUF"), "a GGUF file"),
        ([0x80, 2], "a pickle, which may run any code"), ([0x80, 3], "a pickle, which may run any code"),
        ([0x80, 4], "a pickle, which may run any code"), ([0x80, 5], "a pickle, which may run any code"),
        ([0x1F, 0x8B], "packed with gzip"), ([0x28, 0xB5, 0x2F, 0xFD], "packed with zstd"),
        ([0xFD, (byte)'7', (byte)'z'], "packed with xz"),
        ([0x89, (byte)'H', (byte)'D', (byte)'F'], "an HDF5 file"), ([0x89, (byte)'P', (byte)'N', (byte)'G'], "a PNG image"),
        ([0xFF, 0xD8, 0xFF], "a JPEG image"), (Ascii("PAR1"), "a parquet file"), ([0x7F, (byte)'E', (byte)'L', (byte)'F'], "a program"),
    ];

    /// <returns>What it is and what to do, to follow its path, e.g. "is a git-lfs pointer …; run …"; null if not recognised.</returns>
    public static string? Explain(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            var head = new byte[HeadBytes];
            return Explain(head.AsSpan(0, stream.ReadAtLeast(head, HeadBytes, throwOnEndOfStream: false)));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <param name="head">The first bytes, 512 or all.</param>
    /// <returns>As of a path.</returns>
    public static string? Explain(ReadOnlySpan<byte> head)
    {
        if (head.Length == 0) return $"is empty; {Fetch}.";
        if (head.Length >= 8 && !head.ContainsAnyExcept((byte)0))
            return $"begins with nothing but zeros, as an unfinished download does; {Fetch}.";
        foreach (var (magic, what) in Kinds)
        {
            if (head.StartsWith(magic)) return $"is {what}, whatever its name says; {Fetch}.";
        }
        var text = Encoding.UTF8.GetString(head).TrimStart('\uFEFF', ' ', '\t', '\r', '\n');
        if (text.StartsWith("version https://git-lfs.github.com/", StringComparison.Ordinal))
            return "is a git-lfs pointer, not the file itself; run `git lfs pull` in its folder, or fetch it with `phi3v download`.";
        if (text.Contains("/annex/objects/", StringComparison.Ordinal) && head.Length < HeadBytes)
            return "is a git-annex pointer, not the file itself; run `git annex get` in its folder.";
        if (head.Length < HeadBytes && text.Contains('/') && (Begins("../") || Begins("./")) && !text.Trim().Contains('\n'))
            return $"is the text of a symbolic link to {text.Trim()}, as git and zip leave one where links are not made; put the file there.";
        if (Begins("<!doctype html") || Begins("<html") || Begins("<head"))
            return $"is a web page, not the file itself: its address wanted a login, or was that of a page; {Fetch}.";
        if (Begins("<?xml")) return $"is an XML document, as storage servers answer when they refuse; {Fetch}.";
        return null;

        bool Begins(string start) => text.StartsWith(start, StringComparison.OrdinalIgnoreCase);
    }

    private static byte[] Ascii(string text) => Encoding.ASCII.GetBytes(text);
}
