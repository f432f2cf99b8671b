using Phi3VCluster.Spec;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Processing;
using SkiaSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Processing;

public sealed class ImageTests
{
    [Theory]
    [InlineData(37, 29, 336, 263, false)]
    [InlineData(101, 64, 17, 11, false)]
    [InlineData(23, 91, 30, 119, true)]
    [InlineData(5, 5, 5, 40, true)]
    public void Resizing_equals_the_formula_written_out_slowly(int width, int height, int newWidth, int newHeight, bool rowsFirst)
    {
        var image = Noise(width, height);

        var fast = PillowResize.Bilinear(image, newWidth, newHeight, rowsFirst);

        Assert.Equal(SlowResize(image, newWidth, newHeight, rowsFirst), fast.Pixels);
    }

    [Fact]
    public void A_line_of_two_pixels_is_drawn_out_to_known_bytes()
    {
        byte[] pixels = [0, 0, 0, 0, 100, 200, 255, 0];

        var four = PillowResize.Bilinear(new(pixels, 2, 1), 4, 1, rowsFirst: false);

        // Centres at 0.25, 0.75, 1.25 and 1.75 source pixels: weights of the second pixel are 0, 1/4, 3/4 and 1.
        Assert.Equal([0, 0, 0, 0, 25, 50, 64, 0, 75, 150, 191, 0, 100, 200, 255, 0], four.Pixels);
    }

    [Theory]
    [InlineData(SmallPng.RgbAlpha, 8, new byte[] { 200, 100, 50, 3, 7, 8, 9, 0 }, new byte[] { 200, 100, 50, 7, 8, 9 })]
    [InlineData(SmallPng.GreyAlpha, 8, new byte[] { 200, 128, 7, 0 }, new byte[] { 200, 200, 200, 7, 7, 7 })]
    [InlineData(SmallPng.Rgb, 16, new byte[] { 200, 0, 100, 255, 50, 1, 7, 128, 8, 127, 9, 200 }, new byte[] { 200, 100, 50, 7, 8, 9 })]
    [InlineData(SmallPng.Grey, 16, new byte[] { 200, 250, 7, 129 }, new byte[] { 200, 200, 200, 7, 7, 7 })]
    [InlineData(SmallPng.RgbAlpha, 16, new byte[] { 200, 0, 100, 255, 50, 1, 0, 0, 7, 128, 8, 127, 9, 200, 0, 9 },
        new byte[] { 200, 100, 50, 7, 8, 9 })]
    [InlineData(SmallPng.Grey, 1, new byte[] { 0b0100_0000 }, new byte[] { 0, 0, 0, 255, 255, 255 })]
    [InlineData(SmallPng.Grey, 2, new byte[] { 0b0110_0000 }, new byte[] { 85, 85, 85, 170, 170, 170 })]
    public void Every_kind_of_png_becomes_plain_rgb_and_alpha_is_never_blended(byte colourType, byte bitDepth, byte[] row, byte[] rgb)
    {
        var image = ImageDecoder.Decode(SmallPng.Write(2, 1, bitDepth, colourType, row), "drawn");

        Assert.Equal(rgb, image.Pixels.Where((_, i) => i % 4 != 3));
    }

    [Fact]
    public void Transparent_colours_of_a_palette_keep_their_colour()
    {
        var file = SmallPng.Write(2, 1, 8, SmallPng.Palette, [1, 0], palette: [1, 2, 3, 40, 50, 60], transparency: [128, 0]);

        Assert.Equal([40, 50, 60, 1, 2, 3], ImageDecoder.Decode(file, "drawn").Pixels.Where((_, i) => i % 4 != 3));
    }

    [Fact]
    public void What_is_cut_short_or_no_image_is_refused_by_name()
    {
        var whole = Png(Noise(64, 64));
        var half = whole[..(whole.Length / 2)];

        Assert.Contains("page.png", Assert.Throws<InputException>(() => ImageDecoder.Decode(half, "page.png")).Message);
        Assert.Contains("empty", Assert.Throws<InputException>(() => ImageDecoder.Decode([], "page.png")).Message);
        Assert.Contains("'Hello'", Assert.Throws<InputException>(() => ImageDecoder.Decode("Hello"u8.ToArray(), "page.png")).Message);
        Assert.Contains("48656C00", Assert.Throws<InputException>(() => ImageDecoder.Decode("Hel\0"u8.ToArray(), "page.png")).Message);
    }

    [Fact]
    public void A_decompression_bomb_is_refused_before_it_is_decoded()
    {
        var bitmap = new byte[54];
        "BM"u8.CopyTo(bitmap);
        (bitmap[10], bitmap[14], bitmap[26], bitmap[28]) = (54, 40, 1, 24);
        BitConverter.TryWriteBytes(bitmap.AsSpan(18), 40_000);
        BitConverter.TryWriteBytes(bitmap.AsSpan(22), 40_000);

        Assert.Contains("40000×40000", Assert.Throws<InputException>(() => ImageDecoder.Decode(bitmap, "bomb.bmp")).Message);
    }

    [Fact]
    public void A_png_bomb_of_a_few_bytes_is_refused_by_its_pixel_count()
    {
        var bomb = SmallPng.Write(60_000, 60_000, 1, SmallPng.Grey, new byte[60_000]);
        Assert.True(bomb.Length < 1000);
        var before = GC.GetAllocatedBytesForCurrentThread();

        var error = Assert.Throws<InputException>(() => ImageEncoder.Encode(bomb, 16, "bomb.png"));

        Assert.Contains("60000×60000", error.Message);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 20);
    }

    [Theory]
    [InlineData(1700, 2200, 16, 1344, 1344, 2509)]
    [InlineData(2200, 1700, 4, 672, 672, 757)]
    [InlineData(336, 336, 1, 336, 336, 313)]
    [InlineData(100, 3000, 16, 336, 5376, 2653)]
    public void Sizes_give_the_layout_of_the_hd_transform(
        int width, int height, int numCrops, int paddedWidth, int paddedHeight, int tokens)
    {
        var layout = ImageLayout.For(width, height, numCrops, "page");

        Assert.Equal((paddedWidth, paddedHeight, tokens), (layout.PaddedWidth, layout.PaddedHeight, layout.TokenCount));
    }

    [Fact]
    public void An_image_that_would_vanish_is_refused()
    {
        Assert.Equal(1, ImageLayout.For(336 * 4, 1, 4, "line").ResizedHeight);
        Assert.Contains("1345×1", Assert.Throws<InputException>(() => ImageLayout.For(336 * 4 + 1, 1, 4, "line")).Message);
    }

    [Fact]
    public void A_portrait_is_its_landscape_on_its_side()
    {
        var landscape = Noise(90, 61);
        var portrait = Transposed(landscape);

        var (a, b) = (ImageEncoder.Encode(landscape, 4, "a"), ImageEncoder.Encode(portrait, 4, "b"));

        Assert.Equal((a.Width, a.Height), (b.Height, b.Width));
        for (var y = 0; y < a.Height; y++)
            for (var x = 0; x < a.Width; x++)
                Assert.Equal(a.Rgb.AsSpan((y * a.Width + x) * 3, 3), b.Rgb.AsSpan((x * b.Width + y) * 3, 3));
    }

    [Fact]
    public void Crops_are_the_whole_picture_then_its_tiles_row_by_row()
    {
        LibTorch.Load();
        using var scope = NewDisposeScope();
        var image = ImageEncoder.Encode(Noise(100, 80), 4, "noise");

        var crops = CropTensors.Make(image, CPU);

        Assert.Equal([5, 3, 336, 336], crops.shape);
        // Tile 3 (from 1: right of the first row is 2) begins the second row of tiles; green of its first pixel.
        var expected = (image.Rgb[336 * image.Width * 3 + 1] / 255f - 0.4578275f) / 0.26130258f;
        Assert.Equal(expected, crops[3, 1, 0, 0].item<float>(), 1e-6f);
    }

    [Fact]
    public void A_picture_of_one_tile_gives_one_crop()
    {
        LibTorch.Load();
        using var crops = CropTensors.Make(ImageEncoder.Encode(Noise(50, 50), 1, "small"), CPU);
        Assert.Equal([1, 3, 336, 336], crops.shape);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Plain_tiff_is_read_in_either_byte_order(bool bigEndian)
    {
        byte[] rgb = [1, 2, 3, 40, 50, 60, 100, 110, 120, 200, 210, 220];

        var image = ImageDecoder.Decode(SmallTiff.Write(rgb, 2, 2, bigEndian), "t.tif");

        Assert.Equal(rgb, image.Pixels.Where((_, i) => i % 4 != 3));
        Assert.Equal((2, 2), ImageDecoder.ReadSize(SmallTiff.Write(rgb, 2, 2, bigEndian), "t.tif"));
        Assert.Throws<InputException>(() => ImageDecoder.Decode(SmallTiff.Write(rgb, 2, 2, bigEndian)[..^3], "t.tif"));
        Assert.Throws<InputException>(() => ImageDecoder.Decode(SmallTiff.Write(rgb, 2, 2, bigEndian, compression: 5), "t.tif"));
    }

    internal static RgbxImage Noise(int width, int height)
    {
        var random = new SplitMix64((ulong)(width * 10_000 + height));
        var pixels = new byte[width * height * 4];
        foreach (ref var one in pixels.AsSpan()) one = (byte)random.Below(256);
        return new(pixels, width, height);
    }

    internal static byte[] Png(RgbxImage image)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(image.Width, image.Height, SKColorType.Rgb888x, SKAlphaType.Opaque));
        System.Runtime.InteropServices.Marshal.Copy(image.Pixels, 0, bitmap.GetPixels(), image.Pixels.Length);
        using var file = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        return file.ToArray();
    }

    private static RgbxImage Transposed(RgbxImage image)
    {
        var pixels = new byte[image.Pixels.Length];
        for (var y = 0; y < image.Height; y++)
            for (var x = 0; x < image.Width; x++)
                image.Pixels.AsSpan((y * image.Width + x) * 4, 4).CopyTo(pixels.AsSpan((x * image.Height + y) * 4));
        return new(pixels, image.Height, image.Width);
    }

    /// <summary>
    /// One output value at a time, from the definition: triangle weights, normalised, 22-bit integers, rounded between the axes.
    /// </summary>
    private static byte[] SlowResize(RgbxImage image, int width, int height, bool rowsFirst)
    {
        if (rowsFirst) return SlowWidth(Transposed(SlowWidth(Transposed(image), height)), width).Pixels;
        return Transposed(SlowWidth(Transposed(SlowWidth(image, width)), height)).Pixels;
    }

    private static RgbxImage SlowWidth(RgbxImage image, int width)
    {
        var pixels = new byte[width * image.Height * 4];
        var scale = (double)image.Width / width;
        var reach = Math.Max(scale, 1);
        for (var x = 0; x < width; x++)
        {
            var centre = (x + 0.5) * scale;
            var taps = Enumerable.Range(0, image.Width).Where(i => Math.Abs(i + 0.5 - centre) < reach).ToList();
            var weights = taps.ConvertAll(i => 1 - Math.Abs(i + 0.5 - centre) / reach);
            var fixedPoint = weights.ConvertAll(w => (long)Math.Floor(w / weights.Sum() * (1 << 22) + 0.5));
            for (var at = 0; at < image.Height * 4; at++)
            {
                var (y, c) = (at / 4, at % 4);
                var sum = taps.Zip(fixedPoint, (i, w) => image.Pixels[(y * image.Width + i) * 4 + c] * w).Sum();
                pixels[(y * width + x) * 4 + c] = (byte)Math.Clamp((sum + (1 << 21)) >> 22, 0, 255);
            }
        }
        return new(pixels, width, image.Height);
    }
}
