using SkiaSharp;

namespace Phi3VCluster.Samples.Tests;

/// <summary>Reads a page back from its pixels, by the font and the task's measures.</summary>
internal static class PageReader
{
    private static readonly SKColor Ink = new(20, 20, 30);

    public static string ValueUnder(SKBitmap picture, Field field)
    {
        var band = new SKColor(field.Band.Red, field.Band.Green, field.Band.Blue);
        var row = Enumerable.Range(0, 6).Single(r => picture.GetPixel(28, r * 56) == band);
        var letters = Enumerable.Range(0, 10).Select(i => LetterAt(picture, 32 + 28 * i, row * 56 + 25));
        return string.Concat(letters.TakeWhile(letter => letter != ' '));
    }

    /// <summary>The letter whose 5×7 cells of 4×4 pixels stand here, or a blank for none.</summary>
    private static char LetterAt(SKBitmap picture, int left, int top)
    {
        const string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        var cells = from y in Enumerable.Range(0, 7) from x in Enumerable.Range(0, 5) select (x, y);
        bool Drawn((int X, int Y) cell) => picture.GetPixel(left + 4 * cell.X + 3, top + 4 * cell.Y + 3) == Ink;
        return letters.Append(' ').First(letter => cells.All(cell => Drawn(cell) == (letter != ' ' && Font.IsInk(letter, cell.x, cell.y))));
    }
}
