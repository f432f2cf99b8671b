using Phi3VCluster.Training;
using SkiaSharp;

namespace Phi3VCluster.Bench.Processor;

/// <summary>A letter page at 200 dpi, as JPEG.</summary>
internal static class ScannedPage
{
    public const int Width = 1700, Height = 2200;

    /// <summary>Lines of grey words on white, as a scanner gives it.</summary>
    public static byte[] Draw(ulong seed)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(Width, Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        using var canvas = new SKCanvas(bitmap);
        using var ink = new SKPaint();
        canvas.Clear(SKColors.White);
        var random = new SplitMix64(seed);
        for (var y = 120; y < Height - 120; y += 34)
        {
            for (var x = 140; x < Width - 200; x += 12 + (int)random.Below(10))
            {
                ink.Color = new((byte)random.Below(90), (byte)random.Below(90), (byte)random.Below(90));
                canvas.DrawRect(x, y, 2 + random.Below(9), 6 + random.Below(14), ink);
            }
        }
        using var file = bitmap.Encode(SKEncodedImageFormat.Jpeg, 85);
        return file.ToArray();
    }
}
