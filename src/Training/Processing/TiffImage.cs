using System.Buffers.Binary;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Plain TIFF 6.0 (Skia reads none): strips without compression, 8 bits a sample, grey or RGB, extra samples dropped; the first page.
/// </summary>
internal sealed class TiffImage
{
    private const ushort ImageWidth = 256, ImageLength = 257, BitsPerSample = 258, Compression = 259, Photometric = 262,
        StripOffsets = 273, SamplesPerPixel = 277, RowsPerStrip = 278, StripByteCounts = 279, PlanarConfiguration = 284;
    private const int WhiteIsZero = 0, BlackIsZero = 1, Rgb = 2;

    private readonly byte[] _file;
    private readonly bool _littleEndian;
    private readonly string _description;
    private readonly Dictionary<ushort, uint[]> _tags = [];

    private TiffImage(byte[] file, string description)
    {
        (_file, _description, _littleEndian) = (file, description, file[0] == 'I');
        var at = U32(4);
        var count = U16(at);
        for (var i = 0; i < count; i++) AddTag(at + 2 + 12L * i);
    }

    public static bool IsTiff(byte[] file) =>
        file.Length > 8 && (file.AsSpan().StartsWith("II*\0"u8) || file.AsSpan().StartsWith("MM\0*"u8));

    public static (int Width, int Height) ReadSize(byte[] file, string description)
    {
        var image = new TiffImage(file, description);
        return ((int)image.One(ImageWidth), (int)image.One(ImageLength));
    }

    public static RgbxImage Decode(byte[] file, string description) => new TiffImage(file, description).Decode();

    private RgbxImage Decode()
    {
        var (width, height, samples) = ((int)One(ImageWidth), (int)One(ImageLength), (int)One(SamplesPerPixel, 1));
        ImageDecoder.CheckPixels(width, height, _description);
        var photometric = (int)One(Photometric);
        var plain = One(Compression, 1) == 1 && One(PlanarConfiguration, 1) == 1 && Values(BitsPerSample, 1).All(bits => bits == 8)
            && photometric is WhiteIsZero or BlackIsZero or Rgb && samples >= (photometric == Rgb ? 3 : 1);
        if (!plain || width < 1 || height < 1) throw Refused("only uncompressed 8-bit grey or RGB TIFF can be read");
        var pixels = new byte[checked(width * height * 4)];
        var row = 0;
        foreach (var (offset, length) in Values(StripOffsets).Zip(Values(StripByteCounts)))
        {
            var rows = (int)Math.Min(One(RowsPerStrip, (uint)height), (uint)(height - row));
            if (length < (long)rows * width * samples) throw Refused("a strip is too short");
            CopyStrip(Bytes(offset, rows * width * samples), pixels.AsSpan(row * width * 4), samples, photometric);
            row += rows;
        }
        return row == height ? new(pixels, width, height) : throw Refused($"{row} of {height} rows are there");
    }

    private static void CopyStrip(ReadOnlySpan<byte> strip, Span<byte> pixels, int samples, int photometric)
    {
        for (int from = 0, to = 0; from < strip.Length; from += samples, to += 4)
        {
            var invert = photometric == WhiteIsZero ? 255 : 0;
            for (var c = 0; c < 3; c++) pixels[to + c] = (byte)(strip[from + (photometric == Rgb ? c : 0)] ^ invert);
        }
    }

    private void AddTag(long at)
    {
        const int u16 = 3, u32 = 4;
        int type = U16(at + 2);
        if (type is not (u16 or u32)) return;
        var count = U32(at + 4);
        if (count > _file.Length) throw Refused("its directory is broken");
        long size = type == u16 ? 2 : 4, values = count * size <= 4 ? at + 8 : U32(at + 8);
        var numbers = new uint[count];
        for (var i = 0; i < count; i++) numbers[i] = type == u16 ? U16(values + i * size) : U32(values + i * size);
        _tags[U16(at)] = numbers;
    }

    private uint[] Values(ushort tag, uint? otherwise = null) => _tags.TryGetValue(tag, out var found) && found.Length > 0 ? found
        : otherwise is { } value ? [value] : throw Refused($"tag {tag} is missing");

    private uint One(ushort tag, uint? otherwise = null) => Values(tag, otherwise)[0];

    private ushort U16(long at) => _littleEndian
        ? BinaryPrimitives.ReadUInt16LittleEndian(Bytes(at, 2)) : BinaryPrimitives.ReadUInt16BigEndian(Bytes(at, 2));

    private uint U32(long at) => _littleEndian
        ? BinaryPrimitives.ReadUInt32LittleEndian(Bytes(at, 4)) : BinaryPrimitives.ReadUInt32BigEndian(Bytes(at, 4));

    private ReadOnlySpan<byte> Bytes(long at, int count) =>
        at + count <= _file.Length ? _file.AsSpan((int)at, count) : throw Refused("it is cut short");

    private InputException Refused(string why) => new($"{_description}: this TIFF cannot be decoded, {why}; save it as PNG.");
}
