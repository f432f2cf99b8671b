using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Processing;
using SkiaSharp;

namespace Phi3VCluster.Training.Tests.Fuzz;

/// <summary>One small sound file of every image format that is read.</summary>
internal static class ImageFiles
{
    private const int Width = 24, Height = 17;

    public static IReadOnlyDictionary<string, byte[]> All { get; } = new Dictionary<string, byte[]>
    {
        ["png"] = Encoded(SKEncodedImageFormat.Png),
        ["grey.png"] = SmallPng.Write(8, 4, 4, SmallPng.Grey, [.. Enumerable.Range(0, 16).Select(i => (byte)(i * 17))]),
        ["palette.png"] = SmallPng.Write(4, 2, 8, SmallPng.Palette, [0, 1, 1, 0, 1, 0, 0, 1], palette: [1, 2, 3, 200, 100, 50]),
        ["jpg"] = Encoded(SKEncodedImageFormat.Jpeg),
        ["webp"] = Encoded(SKEncodedImageFormat.Webp),
        ["turned.png"] = SmallExif.InPng(Encoded(SKEncodedImageFormat.Png), "eXIf", SmallExif.Block(6, bigEndian: true)),
        ["turned.jpg"] = SmallExif.InJpeg(Encoded(SKEncodedImageFormat.Jpeg), SmallExif.Block(8, bigEndian: false)),
        ["turned.webp"] = SmallExif.InWebP(Encoded(SKEncodedImageFormat.Webp), "EXIF", SmallExif.Block(3, bigEndian: false)),
        ["bmp"] = Bmp(),
        ["gif"] = Gif(),
        ["tif"] = SmallTiff.Write(Rgb(), Width, Height, bigEndian: false),
        ["big-endian.tif"] = SmallTiff.Write(Rgb(), Width, Height, bigEndian: true, orientation: 5),
    };

    /// <summary>Whole to its checksums, but its header says what it likes.</summary>
    public static byte[] FalsePng(Mutator mutator)
    {
        byte[] depths = [1, 2, 4, 8, 16], colours = [SmallPng.Grey, SmallPng.Rgb, SmallPng.Palette, SmallPng.GreyAlpha, SmallPng.RgbAlpha];
        var most = mutator.Below(40) == 0 ? 20_000 : 200;
        return SmallPng.Write(1 + mutator.Below(most), 1 + mutator.Below(most), depths[mutator.Below(5)], colours[mutator.Below(5)],
            mutator.Mutate(new byte[1 + mutator.Below(4000)]), mutator.Below(2) == 0 ? [1, 2, 3, 4, 5, 6] : null);
    }

    private static RgbxImage Drawn() => ImageTests.Noise(Width, Height);

    private static byte[] Rgb() => [.. Drawn().Pixels.Where((_, i) => i % 4 != 3)];

    public static byte[] Encoded(SKEncodedImageFormat format)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(Width, Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        Marshal.Copy(Drawn().Pixels, 0, bitmap.GetPixels(), Drawn().Pixels.Length);
        using var file = bitmap.Encode(format, 80);
        return file.ToArray();
    }

    private static byte[] Bmp()
    {
        const int header = 54, row = Width * 3; // a multiple of 4: no padding
        var file = new byte[header + row * Height];
        "BM"u8.CopyTo(file);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(2), file.Length);
        (file[10], file[14], file[26], file[28]) = (header, 40, 1, 24);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(18), Width);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(22), Height);
        Rgb().CopyTo(file, header);
        return file;
    }

    /// <summary>Two colours; every code is followed by a clear code, so that none grows beyond three bits.</summary>
    private static byte[] Gif()
    {
        const int side = 4, clear = 4, end = 5;
        var (bits, count, packed) = (0, 0, new List<byte>());
        for (var i = 0; i < side * side; i++) Add(clear, i % 2);
        Add(end);
        if (count > 0) packed.Add((byte)bits);
        return
        [
            .. "GIF89a"u8, side, 0, side, 0, 0x80, 0, 0, 10, 20, 30, 200, 100, 50,
            (byte)',', 0, 0, 0, 0, side, 0, side, 0, 0, 2, (byte)packed.Count, .. packed, 0, (byte)';',
        ];

        void Add(params int[] codes)
        {
            foreach (var code in codes)
            {
                bits |= code << count;
                for (count += 3; count >= 8; count -= 8, bits >>= 8) packed.Add((byte)bits);
            }
        }
    }
}
