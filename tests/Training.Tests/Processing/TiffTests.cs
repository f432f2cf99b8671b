using BitMiracle.LibTiff.Classic;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Tests.Processing;

/// <summary>TIFF as scanners, fax machines and cameras write it.</summary>
public sealed class TiffTests
{
    private const int Width = 37, Height = 23; // no multiple of a byte's bits or of a tile

    public static TheoryData<string> Layouts => [.. Cases.Keys];

    private static readonly Dictionary<string, WrittenTiff> Cases = new()
    {
        ["plain"] = Rgb,
        ["big-endian"] = Rgb with { BigEndian = true },
        ["one strip"] = Rgb with { RowsPerStrip = Height },
        ["packbits"] = Rgb with { Compression = Compression.PACKBITS },
        ["lzw"] = Rgb with { Compression = Compression.LZW },
        ["lzw predictor"] = Rgb with { Compression = Compression.LZW, Predictor = 2 },
        ["deflate"] = Rgb with { Compression = Compression.ADOBE_DEFLATE, Predictor = 2 },
        ["planar"] = Rgb with { IsPlanar = true, Compression = Compression.LZW },
        ["tiles"] = Rgb with { TileSide = 16 },
        ["planar tiles"] = Rgb with { TileSide = 16, IsPlanar = true, Compression = Compression.ADOBE_DEFLATE },
        ["alpha"] = Rgb with { Samples = 4, ExtraSamples = [2] },
        ["rgb 16 bits"] = Rgb with { Bits = 16 },
        ["rgb 16 bits big-endian"] = Rgb with { Bits = 16, BigEndian = true, Compression = Compression.LZW },
        ["rgb 16 bits predictor"] = Rgb with { Bits = 16, Compression = Compression.LZW, Predictor = 2 },
        ["grey 16 bits"] = Grey(16),
        ["grey 8 bits"] = Grey(8),
        ["grey 4 bits"] = Grey(4),
        ["grey 2 bits"] = Grey(2) with { TileSide = 16 },
        ["grey alpha"] = Grey(8) with { Samples = 2, ExtraSamples = [2] },
        ["1 bit"] = Grey(1),
        ["1 bit tiles"] = Grey(1) with { TileSide = 32 },
        ["white is zero"] = Grey(1) with { Colours = Photometric.MINISWHITE },
        ["white is zero 8 bits"] = Grey(8) with { Colours = Photometric.MINISWHITE },
        ["fax 3"] = Grey(1) with { Colours = Photometric.MINISWHITE, Compression = Compression.CCITTFAX3 },
        ["fax 3 two-dimensional"] =
            Grey(1) with { Colours = Photometric.MINISWHITE, Compression = Compression.CCITTFAX3, Group3 = Group3Opt.ENCODING2D },
        ["fax 4"] = Grey(1) with { Colours = Photometric.MINISWHITE, Compression = Compression.CCITTFAX4, RowsPerStrip = Height },
        ["fax huffman"] = Grey(1) with { Colours = Photometric.MINISWHITE, Compression = Compression.CCITTRLE },
        ["palette 8 bits"] = Palette(8),
        ["palette 4 bits"] = Palette(4),
        ["palette 1 bit"] = Palette(1) with { Compression = Compression.PACKBITS },
    };

    private static WrittenTiff Rgb => new(Width, Height, 8, 3, Photometric.RGB);

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Every_layout_gives_its_colours(string layout)
    {
        var tiff = Cases[layout];
        var file = tiff.Write((x, y, c) => Value(tiff, x, y, c));

        var image = ImageDecoder.Decode(file, "t.tif");

        Assert.Equal((Width, Height), (image.Width, image.Height));
        Assert.Equal((Width, Height), ImageDecoder.ReadSize(file, "t.tif"));
        for (var y = 0; y < Height; y++)
            for (var x = 0; x < Width; x++)
                for (var c = 0; c < 3; c++)
                    Assert.Equal((x, y, c, Expected(tiff, x, y, c)), (x, y, c, image.Pixels[(y * Width + x) * 4 + c]));
    }

    [Fact]
    public void Cmyk_premultiplied_alpha_and_floats_are_as_Pillow_has_them()
    {
        Assert.Equal([155, 105, 55], First(new(1, 1, 8, 4, Photometric.SEPARATED), 100, 150, 200, 0));
        Assert.Equal([0, 0, 0], First(new(1, 1, 8, 4, Photometric.SEPARATED), 0, 0, 0, 255));
        Assert.Equal([77, 52, 27], First(new(1, 1, 8, 4, Photometric.SEPARATED), 100, 150, 200, 128));
        Assert.Equal([200, 100, 255], First(new(1, 1, 8, 4, Photometric.RGB) { ExtraSamples = [1] }, 100, 50, 150, 127));
        var floats = new WrittenTiff(1, 1, 32, 1, Photometric.MINISBLACK) { IsFloat = true };
        Assert.Equal([12, 12, 12], First(floats, BitConverter.SingleToUInt32Bits(12.9f)));
        Assert.Equal([255, 255, 255], First(floats, BitConverter.SingleToUInt32Bits(1e9f)));
    }

    [Fact]
    public void Jpeg_inside_tiff_is_near_its_colours()
    {
        var tiff = new WrittenTiff(32, 32, 8, 3, Photometric.RGB) { Compression = Compression.JPEG, RowsPerStrip = 32 };

        var image = ImageDecoder.Decode(tiff.Write((x, y, c) => (uint)(40 + 4 * x + c * 20)), "t.tif");

        for (var x = 0; x < 32; x++)
            for (var c = 0; c < 3; c++) Assert.InRange(image.Pixels[x * 4 + c] - (40 + 4 * x + c * 20), -12, 12);
    }

    [Fact]
    public void A_page_is_turned_as_it_says() =>
        Assert.Equal((Height, Width), ImageDecoder.ReadSize((Rgb with { Orientation = 6 }).Write((_, _, _) => 1), "t.tif"));

    [Theory]
    [InlineData("lzw")]
    [InlineData("planar tiles")]
    [InlineData("fax 4")]
    public void What_is_cut_short_or_broken_is_refused_in_one_line(string layout)
    {
        var tiff = Cases[layout];
        var file = tiff.Write((x, y, c) => Value(tiff, x, y, c));
        foreach (var length in new[] { 9, file.Length / 3, file.Length / 2 })
        {
            var message = Assert.Throws<InputException>(() => ImageDecoder.Decode(file[..length], "t.tif")).Message;
            Assert.StartsWith("t.tif: ", message);
            Assert.DoesNotContain("\n", message);
        }
    }

    private static WrittenTiff Grey(int bits) => new(Width, Height, bits, 1, Photometric.MINISBLACK);

    private static WrittenTiff Palette(int bits)
    {
        var count = 1 << bits;
        return new(Width, Height, bits, 1, Photometric.PALETTE)
        {
            Palette = [.. Enumerable.Range(0, 3).Select(c =>
                Enumerable.Range(0, count).Select(i => (ushort)(Colour(i, c) << 8 | 7)).ToArray())],
        };
    }

    private static byte Colour(int index, int c) => (byte)(index * (c + 3) * 7 + 11 * c);

    private static uint Value(WrittenTiff tiff, int x, int y, int c) =>
        (uint)((x * 2654435761L + y * 40503L + c * 977L) >> 3) & (uint)((1L << tiff.Bits) - 1);

    private static byte Expected(WrittenTiff tiff, int x, int y, int c)
    {
        var value = Value(tiff, x, y, tiff.Colours == Photometric.RGB ? c : 0);
        var scaled = tiff.Bits switch { 16 => value >> 8, 8 => value, 4 => value * 17, 2 => value * 85, _ => value * 255 };
        return tiff.Colours switch
        {
            Photometric.PALETTE => Colour((int)value, c),
            Photometric.MINISWHITE => (byte)(255 - scaled),
            _ => (byte)scaled,
        };
    }

    private static byte[] First(WrittenTiff tiff, params uint[] samples) =>
        ImageDecoder.Decode(tiff.Write((_, _, c) => samples[c]), "t.tif").Pixels[..3];
}
