using System.Buffers.Binary;
using System.Text;

namespace Phi3VCluster.Training;

/// <summary>What a file is by its first bytes, where it is not what was asked for: a download gone wrong, or a form for others.</summary>
/// <param name="Name">As in "is a PDF".</param>
/// <param name="Advice">As in "save its pages as PNG".</param>
public sealed record FileSignature(string Name, string Advice)
{
    /// <summary>As many bytes as it takes to tell.</summary>
    public const int BytesNeeded = 1024;

    private const string Lfs = "a git-lfs pointer";

    private static readonly string[] HtmlMarks = ["<html", "<!doctype html", "<head"];

    private const string Fetch = "fetch it again, for example with `phi3v download`";
    private const string Pickle = "a pickle, which may run any code", AsSafetensors = "save it as safetensors";
    private const string SaveAsJpeg = "save it as JPEG or PNG", Unpack = "unpack it";

    private static readonly (byte[] Magic, int Offset, FileSignature Kind)[] ByMagic =
    [
        Magic("version https://git-lfs", Lfs + ", the file itself was not fetched",
            "run 'git lfs pull' where it was cloned, or download it"),
        Magic("%PDF-", "a PDF", "save its pages as PNG"),
        Magic("8BPS", "a Photoshop file", SaveAsJpeg),
        Magic("PAR1", "a parquet file", "choose the data.kind whose columns it has"),
        Magic([0x1F, 0x8B], "a gzip archive", Unpack),
        Magic("PK\u0003\u0004", "a zip archive", Unpack),
        Magic("BZh", "a bzip2 archive", Unpack),
        Magic([0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z'], "an xz archive", Unpack),
        Magic([0x28, 0xB5, 0x2F, 0xFD], "a zstd archive", Unpack),
        Magic([(byte)'7', (byte)'z', 0xBC, 0xAF], "a 7z archive", Unpack),
        Magic("Rar!", "a RAR archive", Unpack),
        Magic("ustar", "a tar archive", Unpack, offset: 257),
        Magic("SQLite format 3", "an SQLite database", "write its rows as JSON lines"),
        Magic([0x89, (byte)'H', (byte)'D', (byte)'F'], "an HDF5 file", "write it in the form that is asked for"),
        Magic([0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'], "a NumPy array", "save it as an image"),
        Magic([0xFF, 0xD8, 0xFF], "a JPEG image", "give the file that names it"),
        Magic([0x89, (byte)'P', (byte)'N', (byte)'G'], "a PNG image", "give the file that names it"),
        Magic([0, 0, 0, 12, (byte)'j', (byte)'P', (byte)' ', (byte)' '], "a JPEG 2000 image", SaveAsJpeg),
        Magic([0xFF, 0x4F, 0xFF, 0x51], "a JPEG 2000 image", SaveAsJpeg),
        Magic([0xFF, 0x0A], "a JPEG XL image", SaveAsJpeg),
        Magic([0, 0, 0, 12, (byte)'J', (byte)'X', (byte)'L', (byte)' '], "a JPEG XL image", SaveAsJpeg),
        Magic("AT&TFORM", "a DjVu file", "save its pages as PNG"),
        Magic([0x1A, 0x45, 0xDF, 0xA3], "a video (Matroska)", "save a frame of it as PNG"),
        Magic("%!PS", "a PostScript file", "save its pages as PNG"),
        Magic([0xD7, 0xCD, 0xC6, 0x9A], "a Windows metafile", "save it as PNG"),
        Magic("DICM", "a DICOM image", "save it as PNG", offset: 128),
        Magic("GGUF", "a GGUF file", AsSafetensors),
        Magic([0x80, 2], Pickle, AsSafetensors),
        Magic([0x80, 3], Pickle, AsSafetensors),
        Magic([0x80, 4], Pickle, AsSafetensors),
        Magic([0x80, 5], Pickle, AsSafetensors),
        Magic([0x7F, (byte)'E', (byte)'L', (byte)'F'], "a program", "give the file that is meant"),
    ];

    /// <summary>Null where it is no kind that is told by its beginning.</summary>
    public static FileSignature? Of(ReadOnlySpan<byte> beginning)
    {
        foreach (var (magic, offset, kind) in ByMagic)
            if (beginning.Length >= offset + magic.Length && beginning[offset..].StartsWith(magic)) return kind;
        return OfBox(beginning) ?? OfMarkup(beginning);
    }

    /// <summary>
    /// Of a model's file that could not be read: what stands in its place after a clone without git-lfs, a download behind a login, or a
    /// copy that was cut short.
    /// </summary>
    /// <returns>What it is and what to do, to follow its path: "is a PDF, whatever its name says; …". Null if not recognised.</returns>
    public static string? InPlaceOfModel(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            var head = new byte[BytesNeeded];
            return InPlaceOfModel(head.AsSpan(0, stream.ReadAtLeast(head, BytesNeeded, throwOnEndOfStream: false)));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <param name="head">The first bytes, as many as are needed or all.</param>
    /// <returns>As of a path.</returns>
    public static string? InPlaceOfModel(ReadOnlySpan<byte> head)
    {
        if (head.Length == 0) return $"is empty; {Fetch}.";
        if (head.Length >= 8 && !head.ContainsAnyExcept((byte)0))
            return $"begins with nothing but zeros, as an unfinished download does; {Fetch}.";
        if (head is [_, _, _, _, _, _, 0, 0, (byte)'{', ..]) return null; // safetensors: its header's length may look like anything
        if (Of(head) is { } kind)
            return kind.Name.StartsWith(Lfs, StringComparison.Ordinal) ? $"is {kind.Name}; {kind.Advice}."
                : $"is {kind.Name}, whatever its file name says; {Fetch}.";
        var text = head.Length < BytesNeeded ? Encoding.UTF8.GetString(head).Trim() : "";
        if (text.Contains("/annex/objects/", StringComparison.Ordinal))
            return "is a git-annex pointer, not the file itself; run `git annex get` in its folder.";
        return (text.StartsWith("../", StringComparison.Ordinal) || text.StartsWith("./", StringComparison.Ordinal)) && !text.Contains('\n')
            ? $"is the text of a symbolic link to {text}, as git and zip leave one where links are not made; put the file there."
            : null;
    }

    /// <summary>ISO media: a box of type ftyp, whose first brand says what is inside.</summary>
    private static FileSignature? OfBox(ReadOnlySpan<byte> file)
    {
        if (file.Length < 12 || !file[4..].StartsWith("ftyp"u8) || BinaryPrimitives.ReadUInt32BigEndian(file) < 12) return null;
        var brand = Encoding.ASCII.GetString(file[8..12]);
        return brand switch
        {
            "avif" or "avis" => new("an AVIF image", SaveAsJpeg),
            "heic" or "heix" or "hevc" or "hevx" or "heim" or "heis" or "mif1" or "msf1" =>
                new("an HEIC image, as phones make them", "save it as JPEG (on iPhones: Settings, Camera, Formats, Most Compatible)"),
            "crx " => new("a raw photograph (CR3)", SaveAsJpeg),
            _ => new($"a video or other ISO media file ({brand.Trim()})", "save a frame of it as PNG"),
        };
    }

    private static FileSignature? OfMarkup(ReadOnlySpan<byte> file)
    {
        if (file.StartsWith(Encoding.UTF8.Preamble)) file = file[3..];
        if (file.TrimStart(" \t\r\n"u8) is not [(byte)'<', ..]) return null;
        var text = Encoding.Latin1.GetString(file[..Math.Min(file.Length, BytesNeeded)]);
        return text.Contains("<svg", StringComparison.OrdinalIgnoreCase) ? new("an SVG drawing", "save it as PNG")
            : HtmlMarks.Any(mark => text.Contains(mark, StringComparison.OrdinalIgnoreCase))
                ? new("an HTML page, most often an error or log-in page in place of a download",
                    "download the file again, signed in where that is needed")
            : new("an XML file", "give the file in the form that is asked for");
    }

    private static (byte[], int, FileSignature) Magic(string magic, string name, string advice, int offset = 0) =>
        Magic(Encoding.Latin1.GetBytes(magic), name, advice, offset);

    private static (byte[], int, FileSignature) Magic(byte[] magic, string name, string advice, int offset = 0) =>
        (magic, offset, new(name, advice));
}
