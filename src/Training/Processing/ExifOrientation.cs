using System.Buffers.Binary;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// How a JPEG, PNG or WebP file says it is to be turned, found where Pillow looks: in the EXIF block, else in the XMP packet.
/// </summary>
internal static class ExifOrientation
{
    private const int AsStored = 1;

    /// <summary>1 (as stored) to 8; 1 where the file says nothing, or nothing that can be read.</summary>
    public static int Of(byte[] file)
    {
        var (exif, xmp) = file is [0xFF, 0xD8, ..] ? InJpeg(file)
            : file is [0x89, (byte)'P', (byte)'N', (byte)'G', ..] ? InPng(file)
            : file is [(byte)'R', (byte)'I', (byte)'F', (byte)'F', _, _, _, _, (byte)'W', ..] ? InWebP(file)
            : default;
        return FromExif(exif) ?? FromXmp(xmp.Span) ?? AsStored;
    }

    /// <summary>Whether a picture that is turned so is as high as it was wide.</summary>
    public static bool SwapsSides(int orientation) => orientation is >= 5 and <= 8;

    private static (ReadOnlyMemory<byte> Exif, ReadOnlyMemory<byte> Xmp) InJpeg(ReadOnlyMemory<byte> file)
    {
        const byte app1 = 0xE1, startOfScan = 0xDA;
        ReadOnlyMemory<byte> exif = default, xmp = default;
        for (var at = 2; at + 4 <= file.Length && file.Span[at] == 0xFF;)
        {
            var marker = file.Span[at + 1];
            if (marker == 0xFF) at++; // a fill byte
            else if (marker is 0x01 or >= 0xD0 and <= 0xD8) at += 2; // these have no length
            else
            {
                var length = BinaryPrimitives.ReadUInt16BigEndian(file.Span[(at + 2)..]);
                if (marker == startOfScan || length < 2 || at + 2 + length > file.Length) break;
                var segment = file.Slice(at + 4, length - 2);
                if (marker == app1 && segment.Span.StartsWith("Exif\0\0"u8) && exif.IsEmpty) exif = segment;
                if (marker == app1 && segment.Span.StartsWith("http://ns.adobe.com/xap/1.0/\0"u8)) xmp = segment;
                at += 2 + length;
            }
        }
        return (exif, xmp);
    }

    private static (ReadOnlyMemory<byte> Exif, ReadOnlyMemory<byte> Xmp) InPng(ReadOnlyMemory<byte> file)
    {
        const int signature = 8, around = 12; // length and type before a chunk's data, checksum behind
        ReadOnlyMemory<byte> exif = default, xmp = default;
        for (long at = signature; at + around <= file.Length;)
        {
            var head = file.Span[(int)at..];
            var length = BinaryPrimitives.ReadUInt32BigEndian(head);
            if (at + around + length > file.Length) break;
            var data = file.Slice((int)at + 8, (int)length);
            if (head[4..].StartsWith("eXIf"u8)) exif = data;
            // The second 0: not compressed.
            if (head[4..].StartsWith("iTXt"u8) && data.Span.StartsWith("XML:com.adobe.xmp\0\0"u8)) xmp = data;
            at += around + length;
        }
        return (exif, xmp);
    }

    private static (ReadOnlyMemory<byte> Exif, ReadOnlyMemory<byte> Xmp) InWebP(ReadOnlyMemory<byte> file)
    {
        const int header = 12, before = 8;
        ReadOnlyMemory<byte> exif = default, xmp = default;
        for (long at = header; at + before <= file.Length;)
        {
            var head = file.Span[(int)at..];
            var length = BinaryPrimitives.ReadUInt32LittleEndian(head[4..]);
            if (at + before + length > file.Length) break;
            var data = file.Slice((int)at + before, (int)length);
            if (head.StartsWith("EXIF"u8)) exif = data;
            if (head.StartsWith("XMP "u8)) xmp = data;
            at += before + length + length % 2;
        }
        return (exif, xmp);
    }

    private static int? FromExif(ReadOnlyMemory<byte> exif)
    {
        const uint absent = uint.MaxValue;
        while (exif.Span.StartsWith("Exif\0\0"u8)) exif = exif[6..];
        try
        {
            return exif.IsEmpty ? null : new TiffDirectory(exif).Values(TiffDirectory.Orientation, absent) switch
            {
                [absent] => null,
                [var one] => (int)one,
                _ => AsStored,
            };
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    /// <summary>The first <c>tiff:Orientation="6"</c> or <c>tiff:Orientation>6</c>.</summary>
    private static int? FromXmp(ReadOnlySpan<byte> xmp)
    {
        var name = "tiff:Orientation"u8;
        for (var at = xmp.IndexOf(name); at >= 0; at = xmp.IndexOf(name))
        {
            xmp = xmp[(at + name.Length)..];
            var value = xmp.StartsWith("=\""u8) ? xmp[2..] : xmp.StartsWith(">"u8) ? xmp[1..] : [];
            if (!value.IsEmpty && char.IsAsciiDigit((char)value[0])) return value[0] - '0';
        }
        return null;
    }
}
