using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Tests.Processing;

public sealed class GifTests
{
    private static readonly byte[] Palette = [255, 255, 255, 200, 30, 30, 20, 20, 180, 9, 9, 9];

    [Fact]
    public void Pixels_to_be_seen_through_keep_their_palette_colour() =>
        Assert.Equal([255, 255, 255, 200, 30, 30, 20, 20, 180, 255, 255, 255], Decode(Gif(4, 1, 0, 0, 4, 1, [0, 1, 2, 0], transparent: 0)));

    [Fact]
    public void What_a_small_first_frame_leaves_open_has_the_transparent_colour_or_the_first()
    {
        Assert.Equal([9, 9, 9, 200, 30, 30, 9, 9, 9], Decode(Gif(3, 1, 1, 0, 1, 1, [1], transparent: 3)));
        Assert.Equal([255, 255, 255, 200, 30, 30, 255, 255, 255], Decode(Gif(3, 1, 1, 0, 1, 1, [1])));
    }

    [Fact]
    public void The_palette_of_the_frame_goes_before_that_of_the_file() =>
        Assert.Equal([9, 9, 9, 20, 20, 180], Decode(Gif(2, 1, 1, 0, 1, 1, [2], transparent: 3, localPalette: true)));

    private static byte[] Decode(byte[] file) => [.. ImageDecoder.Decode(file, "g.gif").Pixels.Where((_, i) => i % 4 != 3)];

    /// <summary>A GIF of four colours whose pixels are written without compression: a clear code before each.</summary>
    private static byte[] Gif(
        byte width, byte height, byte left, byte top, byte frameWidth, byte frameHeight, byte[] pixels,
        byte? transparent = null, bool localPalette = false)
    {
        const int clear = 4, end = 5, bits = 3;
        var (packed, at) = (new byte[2 * pixels.Length + 8], 0);
        foreach (var code in pixels.SelectMany(pixel => new[] { clear, (int)pixel }).Append(end))
            for (var bit = 0; bit < bits; bit++, at++) packed[at / 8] |= (byte)((code >> bit & 1) << (at % 8));
        var length = (byte)((at + 7) / 8);
        byte[] global = localPalette ? [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4] : Palette;
        return
        [
            .. "GIF89a"u8, width, 0, height, 0, 0x81, 0, 0, .. global,
            .. transparent is { } index ? new byte[] { 0x21, 0xF9, 4, 1, 0, 0, index, 0 } : [],
            0x21, 0xFE, 2, (byte)',', (byte)'x', 0, // a comment that looks like a frame
            0x2C, left, 0, top, 0, frameWidth, 0, frameHeight, 0, (byte)(localPalette ? 0x81 : 0), .. localPalette ? Palette : [],
            2, length, .. packed[..length], 0, 0x3B,
        ];
    }
}
