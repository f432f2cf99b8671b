using System.Globalization;

namespace Phi3VCluster.Training.Data;

/// <summary>What may be in good rows without being meant: counted over all, and said once. Thread-safe.</summary>
internal sealed class RowRemarks
{
    private const int HeaderBytes = 1024;

    private int _withoutImages, _animated, _withTagAsText;

    /// <summary>Rows that are text alone.</summary>
    public int WithoutImages => _withoutImages;

    /// <summary>What a user may not have meant, a sentence each: how it is taken, in how many rows, and what to do.</summary>
    public IEnumerable<string> Sentences()
    {
        if (_animated > 0)
            yield return $"an animated picture is seen as its first frame alone, in {Count(_animated)} row(s); "
                + "save the frame that is meant.";
        if (_withTagAsText > 0)
            yield return $"{TaggedText.Tag} in a question is plain text for this data.kind, in {Count(_withTagAsText)} row(s); "
                + "leave it out, or write <|image_1|> where the first picture belongs.";
    }

    public void Add(Sample sample)
    {
        var images = sample.Turns.SelectMany(turn => turn.Images).ToList();
        if (images.Count == 0) Interlocked.Increment(ref _withoutImages);
        if (images.Any(IsAnimated)) Interlocked.Increment(ref _animated);
        if (sample.Turns.Any(turn => turn.User.Contains(TaggedText.Tag, StringComparison.Ordinal)))
            Interlocked.Increment(ref _withTagAsText);
    }

    private static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>By its name first: to look into every file again would cost more than it tells.</summary>
    private static bool IsAnimated(IImageSource image) =>
        image.File is { } file && file.EndsWith(".gif", StringComparison.OrdinalIgnoreCase)
        && image.ReadBeginning(HeaderBytes).AsSpan() is var beginning
        && beginning.StartsWith("GIF8"u8) && beginning.IndexOf("NETSCAPE2.0"u8) >= 0; // what says how often it is played
}
