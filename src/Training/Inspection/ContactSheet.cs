using System.Globalization;
using SkiaSharp;

namespace Phi3VCluster.Training.Inspection;

/// <summary>A picture as the model gets it, with what is asked about it.</summary>
/// <param name="CropSize">Side of a crop, pixels.</param>
/// <param name="Place">Where in the data it comes from.</param>
/// <param name="Size">Of the image file, for people.</param>
internal sealed record SheetPage(EncodedImage Image, int CropSize, string Place, string Size, string Question, string Answer);

/// <summary>
/// Pages as one picture, small: each as the image processor scales and pads it, with the crops that it cuts, and its question and answer
/// beneath. Holds a drawn page, not the page's own pixels.
/// </summary>
internal sealed class ContactSheet : IDisposable
{
    private const int Columns = 4, Picture = 448, Gap = 16;
    private const int Small = 16, Line = 20; // from line to line
    private const int QuestionLines = 3, AnswerLines = 2;
    private const int TileWidth = Picture, TileHeight = Picture + 10 + Small + (QuestionLines + AnswerLines) * Line;

    private static readonly SKColor Paper = new(0xEC, 0xEE, 0xF1), Ink = new(0x20, 0x24, 0x2A), Grey = new(0x6A, 0x70, 0x7A),
        AnswerInk = new(0x0B, 0x62, 0x3C), Grid = new(0xE8, 0x4A, 0x0C);

    private readonly List<SKImage> _tiles = [];
    private readonly SheetText _text;

    public ContactSheet() : this(SheetText.OfThisMachine()) { }

    /// <param name="text">Disposed with the sheet.</param>
    public ContactSheet(SheetText text) => _text = text;

    public int Count => _tiles.Count;

    public void Add(SheetPage page)
    {
        using var surface = SKSurface.Create(new SKImageInfo(TileWidth, TileHeight, SKColorType.Rgba8888, SKAlphaType.Opaque));
        surface.Canvas.Clear(Paper);
        var top = DrawPicture(surface.Canvas, page) + 8;
        var (columns, rows) = (page.Image.Width / page.CropSize, page.Image.Height / page.CropSize);
        var facts = string.Create(CultureInfo.InvariantCulture,
            $"{page.Place} · {page.Size} → {columns}×{rows} crops, {page.Image.TokenCount:N0} tokens");
        top += _text.Draw(surface.Canvas, facts, top, Small, TileWidth, 1, Grey) + 2;
        top += _text.Draw(surface.Canvas, page.Question, top, Line, TileWidth, QuestionLines, Ink);
        _text.Draw(surface.Canvas, page.Answer, top, Line, TileWidth, AnswerLines, AnswerInk);
        _tiles.Add(surface.Snapshot());
    }

    /// <summary>The whole sheet as a PNG file.</summary>
    public byte[] ToPng()
    {
        var (columns, rows) = (Math.Min(Columns, Count), (Count + Columns - 1) / Columns);
        var (width, height) = (Gap + columns * (TileWidth + Gap), Gap + rows * (TileHeight + Gap));
        var info = new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque);
        using var surface = SKSurface.Create(info);
        surface.Canvas.Clear(Paper);
        for (var i = 0; i < Count; i++)
            surface.Canvas.DrawImage(_tiles[i], Gap + i % Columns * (TileWidth + Gap), Gap + i / Columns * (TileHeight + Gap));
        using var sheet = surface.Snapshot();
        using var png = sheet.Encode(SKEncodedImageFormat.Png, 100);
        return png.ToArray();
    }

    public void Dispose()
    {
        _tiles.ForEach(tile => tile.Dispose());
        _text.Dispose();
    }

    /// <returns>Its height.</returns>
    private static float DrawPicture(SKCanvas canvas, SheetPage page)
    {
        var scale = (float)Picture / Math.Max(page.Image.Width, page.Image.Height);
        var (width, height) = (page.Image.Width * scale, page.Image.Height * scale);
        var left = (Picture - width) / 2;
        using var bitmap = Bitmap(page.Image);
        using var smooth = new SKPaint { FilterQuality = SKFilterQuality.Medium, IsAntialias = true };
        canvas.DrawBitmap(bitmap, SKRect.Create(left, 0, width, height), smooth);
        using var line = new SKPaint { Color = Grid, StrokeWidth = 2, IsStroke = true };
        var side = page.CropSize * scale;
        for (var y = side; y < height - 1; y += side) canvas.DrawLine(left, y, left + width, y, line);
        for (var x = side; x < width - 1; x += side) canvas.DrawLine(left + x, 0, left + x, height, line);
        canvas.DrawRect(SKRect.Inflate(SKRect.Create(left, 0, width, height), -1, -1), line);
        return height;
    }

    private static SKBitmap Bitmap(EncodedImage image)
    {
        var bitmap = new SKBitmap(new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        unsafe
        {
            var pixels = new Span<uint>((void*)bitmap.GetPixels(), image.Width * image.Height);
            for (int i = 0, from = 0; i < pixels.Length; i++, from += 3)
                pixels[i] = image.Rgb[from] | (uint)image.Rgb[from + 1] << 8 | (uint)image.Rgb[from + 2] << 16 | 0xFF000000;
        }
        return bitmap;
    }
}
