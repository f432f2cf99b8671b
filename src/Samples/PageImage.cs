using System.Runtime.InteropServices;
using SkiaSharp;

namespace Phi3VCluster.Samples;

/// <summary>
/// A page as pixels: no noise, jitter or antialiasing, in letters large enough for the tower's 14-pixel patches. Smaller or
/// black-and-white pages are not learnt by a model of this size.
/// </summary>
internal sealed class PageImage
{
    /// <summary>The tower's input size, so that one crop holds the page unscaled.</summary>
    public const int Side = 336;

    private const int RowHeight = Side / Page.RowCount;
    private const int BandLeft = 28;
    private const int BandWidth = 280;
    private const int BandHeight = 54;
    private const int TextLeft = 32;
    private const int LabelTop = 7;
    private const int LabelScale = 2;
    private const int ValueTop = 25;
    private const int ValueScale = 4;
    private const int LetterAdvance = 7; // font pixels: five of ink and two of space

    private static readonly Rgb LabelInk = new(90, 90, 110);
    private static readonly Rgb ValueInk = new(20, 20, 30);

    // Rows repeat: the Up filter turns most of a page to zeros, and the fastest compression then suffices.
    private static readonly SKPngEncoderOptions Fast = new(SKPngEncoderFilterFlags.Up, zLibLevel: 1);

    private readonly uint[] _pixels = new uint[Side * Side];

    public void WritePng(Page page, string path)
    {
        Draw(page);
        var pinned = GCHandle.Alloc(_pixels, GCHandleType.Pinned);
        try
        {
            using var map = new SKPixmap(new SKImageInfo(Side, Side, SKColorType.Rgb888x, SKAlphaType.Opaque), pinned.AddrOfPinnedObject());
            using var png = map.Encode(Fast) ?? throw new IOException($"{path}: the page could not be encoded as PNG.");
            using var file = File.Create(path);
            png.SaveTo(file);
        }
        finally
        {
            pinned.Free();
        }
    }

    private void Draw(Page page)
    {
        Array.Fill(_pixels, Rgb.White.Pixel);
        foreach (var (field, row, value) in page.Fields)
        {
            var top = row * RowHeight;
            Fill(BandLeft, top, BandWidth, BandHeight, field.Band);
            Write(field.Label, top + LabelTop, LabelScale, LabelInk);
            Write(value, top + ValueTop, ValueScale, ValueInk);
        }
    }

    private void Write(string text, int top, int scale, Rgb ink)
    {
        for (var i = 0; i < text.Length; i++)
            for (var y = 0; y < Font.Height; y++)
                for (var x = 0; x < Font.Width; x++)
                    if (Font.IsInk(text[i], x, y))
                        Fill(TextLeft + (i * LetterAdvance + x) * scale, top + y * scale, scale, scale, ink);
    }

    private void Fill(int left, int top, int width, int height, Rgb colour)
    {
        for (var y = top; y < top + height; y++)
            _pixels.AsSpan(y * Side + left, width).Fill(colour.Pixel);
    }
}
