using System.Runtime.InteropServices;
using BitMiracle.LibTiff.Classic;

namespace Phi3VCluster.Training.Processing;

/// <summary>Stored samples to 8-bit red, green and blue.</summary>
internal static class TiffColours
{
    private const int PremultipliedAlpha = 1;

    /// <param name="planes">As <see cref="TiffRows"/> gives them.</param>
    /// <returns>Four bytes a pixel.</returns>
    public static byte[] Convert(Tiff tiff, TiffPage page, byte[][] planes)
    {
        var pixels = new byte[checked(page.Width * page.Height * 4)];
        var (rowBytes, together) = (TiffRows.RowBytes(page), page.SamplesTogether);
        var samples = new byte[checked(page.Width * page.Samples)];
        var unpacked = page.IsPlanar ? new byte[page.Width] : samples;
        var convert = Converter(tiff, page);
        for (var row = 0; row < page.Height; row++)
        {
            for (var plane = 0; plane < planes.Length; plane++)
            {
                Unpack(planes[plane].AsSpan(row * rowBytes, rowBytes), unpacked, page);
                if (page.IsPlanar)
                    for (var x = 0; x < page.Width; x++) samples[x * page.Samples + plane] = unpacked[x];
            }
            var line = pixels.AsSpan(row * page.Width * 4, page.Width * 4);
            for (var x = 0; x < page.Width; x++) convert(samples.AsSpan(x * page.Samples, page.Samples), line.Slice(4 * x, 4));
        }
        return pixels;
    }

    private delegate void ToRgb(ReadOnlySpan<byte> samples, Span<byte> rgb);

    private static ToRgb Converter(Tiff tiff, TiffPage page)
    {
        switch (page.Colours)
        {
            case Photometric.PALETTE:
                var palette = Palette(tiff);
                return (samples, rgb) => palette.AsSpan(3 * samples[0], 3).CopyTo(rgb);
            case Photometric.SEPARATED:
                return Cmyk;
            case Photometric.RGB when !page.IsPlanar && page.Samples == 4 && IsPremultiplied(tiff):
                return Unblended;
            case Photometric.RGB:
                return (samples, rgb) => samples[..3].CopyTo(rgb);
            case Photometric.MINISWHITE:
                return (samples, rgb) => rgb[..3].Fill((byte)(255 - samples[0]));
            default:
                return (samples, rgb) => rgb[..3].Fill(samples[0]);
        }
    }

    private static void Cmyk(ReadOnlySpan<byte> cmyk, Span<byte> rgb)
    {
        var light = 255 - cmyk[3];
        for (var c = 0; c < 3; c++) rgb[c] = (byte)Math.Max(light - Scaled(cmyk[c] * light), 0);
    }

    private static void Unblended(ReadOnlySpan<byte> rgba, Span<byte> rgb)
    {
        for (var c = 0; c < 3; c++)
            rgb[c] = rgba[3] switch { 0 => 0, 255 => rgba[c], var alpha => (byte)Math.Min(rgba[c] * 255 / alpha, 255) };
    }

    /// <summary>A product of two bytes divided by 255, rounded.</summary>
    private static int Scaled(int product) => (product + 128 + ((product + 128) >> 8)) >> 8;

    private static bool IsPremultiplied(Tiff tiff) =>
        tiff.GetField(TiffTag.EXTRASAMPLES) is { Length: > 1 } field && field[1].ToShortArray() is { Length: > 0 } kinds
        && kinds[0] == PremultipliedAlpha;

    /// <summary>256 colours of 3 bytes; those that the file lacks are black.</summary>
    private static byte[] Palette(Tiff tiff)
    {
        var maps = tiff.GetField(TiffTag.COLORMAP) is { Length: >= 3 } field
            ? field.Take(3).Select(map => map.ToShortArray().Select(value => (ushort)value).ToArray()).ToArray()
            : throw new InvalidDataException("its palette is missing");
        var shift = maps.Any(map => map.Any(value => value > 255)) ? 8 : 0; // old writers give bytes
        var palette = new byte[3 * 256];
        for (var c = 0; c < 3; c++)
            for (var i = 0; i < Math.Min(maps[c].Length, 256); i++) palette[3 * i + c] = (byte)(maps[c][i] >> shift);
        return palette;
    }

    /// <summary>A row's samples as bytes: indices as they are, brightness scaled to 255.</summary>
    private static void Unpack(ReadOnlySpan<byte> row, Span<byte> samples, TiffPage page)
    {
        switch (page.Bits)
        {
            case 8:
                row[..samples.Length].CopyTo(samples);
                break;
            case 16:
                var shorts = MemoryMarshal.Cast<byte, ushort>(row);
                for (var i = 0; i < samples.Length; i++) samples[i] = (byte)(shorts[i] >> 8);
                break;
            case 32 when page.IsFloat:
                var floats = MemoryMarshal.Cast<byte, float>(row);
                for (var i = 0; i < samples.Length; i++) samples[i] = (byte)(floats[i] >= 255 ? 255 : floats[i] > 0 ? floats[i] : 0);
                break;
            case 32:
                var ints = MemoryMarshal.Cast<byte, int>(row);
                for (var i = 0; i < samples.Length; i++) samples[i] = (byte)Math.Clamp(ints[i], 0, 255);
                break;
            case 12:
                for (var i = 0; i < samples.Length; i++)
                {
                    var pair = row[(i / 2 * 3)..];
                    samples[i] = i % 2 == 0 ? pair[0] : (byte)((pair[1] << 4) | (pair[2] >> 4));
                }
                break;
            default:
                var (perByte, largest) = (8 / page.Bits, (1 << page.Bits) - 1);
                var factor = page.Colours == Photometric.PALETTE ? 1 : 255 / largest;
                for (var i = 0; i < samples.Length; i++)
                    samples[i] = (byte)(((row[i / perByte] >> (8 - page.Bits * (i % perByte + 1))) & largest) * factor);
                break;
        }
    }
}
