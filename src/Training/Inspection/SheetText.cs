using System.Globalization;
using System.Text;
using SkiaSharp;

namespace Phi3VCluster.Training.Inspection;

/// <summary>
/// Text on a picture, in lines of a given width. A character is drawn by the first font that has it: those that the machine has, else our
/// own, then without its accents, else as a box. It may be of any script, but letters are not joined.
/// </summary>
/// <param name="families">Names of the fonts that may be used, the best first.</param>
internal sealed class SheetText(IReadOnlyList<string> families) : IDisposable
{
    private const int LongestText = 500; // characters: what is behind them is never seen
    private const int Box = -1;

    private static readonly string[] Best = ["DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica"];

    private readonly Dictionary<string, SKTypeface> _opened = [];
    private readonly Dictionary<int, SKTypeface?> _fontOf = [];

    /// <summary>With all fonts of this machine.</summary>
    public static SheetText OfThisMachine()
    {
        var all = SKFontManager.Default.GetFontFamilies();
        return new([.. Best.Intersect(all), .. all.Except(Best).Order(StringComparer.Ordinal)]);
    }

    /// <param name="top">Of the first line.</param>
    /// <param name="size">Pixels from line to line.</param>
    /// <param name="mostLines">The last of them ends in … where there is more.</param>
    /// <returns>Height of the lines.</returns>
    public float Draw(SKCanvas canvas, string text, float top, int size, float width, int mostLines, SKColor colour)
    {
        using var paint = new SKPaint { Color = colour, IsAntialias = true };
        var lines = Lines(text, size, width);
        var drawn = Math.Min(lines.Count, mostLines);
        for (var i = 0; i < drawn; i++)
        {
            var line = i == mostLines - 1 && lines.Count > mostLines ? Shortened(lines[i], size, width) : lines[i];
            var x = 0f;
            foreach (var character in line) x += Draw(canvas, character, x, top + i * size, size, paint);
        }
        return drawn * size;
    }

    public void Dispose()
    {
        foreach (var typeface in _opened.Values) typeface.Dispose();
    }

    private List<List<int>> Lines(string text, int size, float width)
    {
        var (lines, line, used, space) = (new List<List<int>>(), new List<int>(), 0f, -1);
        foreach (var character in Characters(text))
        {
            var advance = Advance(character, size);
            if (used + advance > width && line.Count > 0)
            {
                var rest = space >= 0 ? line[(space + 1)..] : [];
                lines.Add(space >= 0 ? line[..space] : line);
                (line, used, space) = (rest, rest.Sum(one => Advance(one, size)), -1);
            }
            if (character == ' ')
            {
                if (line.Count == 0) continue;
                space = line.Count;
            }
            line.Add(character);
            used += advance;
        }
        if (line.Count > 0) lines.Add(line);
        return lines;
    }

    private List<int> Shortened(List<int> line, int size, float width)
    {
        int[] dots = ['.', '.', '.'];
        var kept = line.Count;
        while (kept > 0 && line.Take(kept).Concat(dots).Sum(one => Advance(one, size)) > width) kept--;
        return [.. line.Take(kept), .. dots];
    }

    /// <summary>Code points as they are drawn: any white space is one space, and what cannot be drawn is a box.</summary>
    private IEnumerable<int> Characters(string text)
    {
        var isSpace = true; // none at the beginning
        foreach (var rune in text.AsSpan(0, Math.Min(text.Length, LongestText)).ToString().EnumerateRunes())
        {
            if (Rune.IsWhiteSpace(rune))
            {
                if (!isSpace) yield return ' ';
                isSpace = true;
            }
            else if (!Rune.IsControl(rune) && Rune.GetUnicodeCategory(rune) is var kind and not UnicodeCategory.Format
                && (kind != UnicodeCategory.NonSpacingMark || FontOf(rune.Value) is not null))
            {
                yield return Drawable(rune);
                isSpace = false;
            }
        }
    }

    private int Drawable(Rune rune) => FontOf(rune.Value) is not null ? rune.Value : PixelFont.Nearest(rune.Value) ?? Box;

    private float Advance(int character, int size)
    {
        if (FontOf(character) is not { } typeface) return Scale(size) * (PixelFont.Width + 1);
        using var font = new SKFont(typeface, FontSize(size));
        return font.MeasureText([typeface.GetGlyph(character)]);
    }

    private float Draw(SKCanvas canvas, int character, float x, float top, int size, SKPaint paint)
    {
        if (FontOf(character) is { } typeface)
        {
            using var font = new SKFont(typeface, FontSize(size)) { Subpixel = true };
            canvas.DrawText(char.ConvertFromUtf32(character), x, top + 0.8f * size, font, paint);
        }
        else DrawPixels(canvas, character, MathF.Round(x), top, Scale(size), paint);
        return Advance(character, size);
    }

    private static void DrawPixels(SKCanvas canvas, int character, float left, float top, int scale, SKPaint paint)
    {
        for (var y = 0; y < PixelFont.Height; y++)
            for (var x = 0; x < PixelFont.Width; x++)
                if (character == Box ? x is 0 or PixelFont.Width - 1 || y is 0 or PixelFont.Height - 1 : PixelFont.IsInk(character, x, y))
                    canvas.DrawRect(left + x * scale, top + y * scale, scale, scale, paint);
    }

    private SKTypeface? FontOf(int character)
    {
        if (character == Box) return null;
        if (!_fontOf.TryGetValue(character, out var found))
            _fontOf[character] = found = families.Select(Open).FirstOrDefault(typeface => typeface.ContainsGlyph(character));
        return found;
    }

    private SKTypeface Open(string family)
    {
        if (!_opened.TryGetValue(family, out var typeface))
            _opened[family] = typeface = SKFontManager.Default.MatchFamily(family) ?? SKTypeface.Default;
        return typeface;
    }

    private static float FontSize(int size) => 0.75f * size;

    private static int Scale(int size) => Math.Max(1, size / 10);
}
