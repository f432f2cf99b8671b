using Phi3VCluster.Training.Inspection;
using SkiaSharp;

namespace Phi3VCluster.Training.Tests.Inspection;

public sealed class SheetTextTests
{
    private const int Width = 200, Size = 20;

    [Fact]
    public void Without_fonts_every_letter_is_drawn_in_pixels_of_its_own()
    {
        using var text = new SheetText([]);

        var letters = Enumerable.Range('!', '~' - '!' + 1).Select(one => Drawn(text, $"{(char)one}").Ink).ToList();

        Assert.Equal(letters.Count, letters.Distinct().Count());
        Assert.Equal(Drawn(text, "u a").Ink, Drawn(text, "ü\tá").Ink);
        Assert.Equal(Drawn(text, "何").Ink, Drawn(text, "😀").Ink); // a box each
        Assert.NotEqual("", Drawn(text, "何").Ink);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \n\t ")]
    [InlineData("\u0000\u0007\u200f\ufeff")]
    [InlineData("\ud800 alone \udc00")]
    [InlineData("مرحبا שלום สวัสดี 你好 こんにちは 👩‍👩‍👧 é")]
    public void Any_text_can_be_drawn_with_and_without_fonts(string any)
    {
        using var pixels = new SheetText([]);
        using var fonts = SheetText.OfThisMachine();

        foreach (var text in new[] { pixels, fonts }) Assert.InRange(Drawn(text, any).Height, 0, 3 * Size);
    }

    [Fact]
    public void Lines_break_at_spaces_and_the_last_one_tells_that_there_is_more()
    {
        using var text = new SheetText([]);
        var letters = Width / 12; // that fit a line

        Assert.Equal(Size, Drawn(text, new('a', letters)).Height);
        Assert.Equal(2 * Size, Drawn(text, new('a', letters + 1)).Height);
        Assert.Equal(2 * Size, Drawn(text, "aaaaaaaaaa bbbbbbbbbb").Height);
        var (height, ink) = Drawn(text, string.Join(' ', Enumerable.Repeat("abcdefg", 20)));
        Assert.Equal((3 * Size, Drawn(text, "abcdefg abcdefg abcdefg abcdefg abcdefg abcde...").Ink), (height, ink));
    }

    private static (float Height, string Ink) Drawn(SheetText text, string what)
    {
        using var bitmap = new SKBitmap(Width, 4 * Size);
        using var canvas = new SKCanvas(bitmap);
        canvas.Clear(SKColors.White);
        var height = text.Draw(canvas, what, 0, Size, Width, mostLines: 3, SKColors.Black);
        canvas.Flush();
        var ink = from y in Enumerable.Range(0, bitmap.Height)
                  from x in Enumerable.Range(0, bitmap.Width)
                  where bitmap.GetPixel(x, y) != SKColors.White
                  select $"{x},{y}";
        return (height, string.Join(' ', ink));
    }
}
