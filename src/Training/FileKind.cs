using System.Buffers.Binary;
using System.Text;

namespace Phi3VCluster.Training;

/// <summary>What a file is by its first bytes, where it is not what was asked for: a download gone wrong, or a form for others.</summary>
/// <param name="Name">As in "is a PDF".</param>
/// <param name="Advice">As in "save its pages as PNG".</param>
public sealed record FileKind(string Name, string Advice)
{
    /// <summary>As many bytes as it takes to tell.</summary>
    public const int BytesNeeded = 1024;

    private static readonly string[] HtmlMarks = ["<html", "<!doctype html", "<head"];

    private const string SaveAsJpeg = "save it as JPEG or PNG", Unpack = "unpack it";

    private static readonly (byte[] Magic, int Offset, FileKind Kind)[] ByMagic =
    [
        Magic("version https://git-lfs", "a git-lfs pointer, the file itself was not fetched",
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
    ];

    /// <summary>Null where it is no kind that is told by its beginning.</summary>
    public static FileKind? Of(ReadOnlySpan<byte> beginning)
    {
        foreach (var (magic, offset, kind) in ByMagic)
            if (beginning.Length >= offset + magic.Length && beginning[offset..].StartsWith(magic)) return kind;
        return OfBox(beginning) ?? OfMarkup(beginning);
    }

    /// <summary>ISO media: a box of type ftyp, whose first brand says what is inside.</summary>
    private static FileKind? OfBox(ReadOnlySpan<byte> file)
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

    private static FileKind? OfMarkup(ReadOnlySpan<byte> file)
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

    private static (byte[], int, FileKind) Magic(string magic, string name, string advice, int offset = 0) =>
        Magic(Encoding.Latin1.GetBytes(magic), name, advice, offset);

    private static (byte[], int, FileKind) Magic(byte[] magic, string name, string advice, int offset = 0) =>
        (magic, offset, new(name, advice));
}
