using System.Globalization;
using System.Text.RegularExpressions;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Prompts with <c>&lt;|image_k|&gt;</c> tags to ids: the text is split at the tags, each piece encoded on its own with its own BOS, and
/// image k put in as a run of −k.
/// </summary>
public sealed partial class PromptEncoder(Tokenizer tokenizer)
{
    /// <summary>Tags of images 1 … <paramref name="count"/>, joined.</summary>
    public static string Tags(int first, int count) => string.Concat(Enumerable.Range(first, count).Select(Tag));

    /// <summary>Whether the text places image tags itself.</summary>
    public static bool HasTags(string text) => ImageTag().IsMatch(text);

    /// <summary>The text with every tag's number raised by <paramref name="by"/>.</summary>
    public static string ShiftTags(string text, int by) => by == 0 ? text : ImageTag().Replace(text, match => Tag(Number(match) + by));

    /// <summary>Appends the prompt's ids.</summary>
    /// <param name="tokenCounts">Image tokens of image 1, 2, …</param>
    /// <returns>The image of each run of placeholders, from 0, in the order of the runs.</returns>
    /// <exception cref="InputException">The tags are not those of images 1 … n.</exception>
    public IReadOnlyList<int> Encode(string prompt, IReadOnlyList<int> tokenCounts, List<long> ids, string description)
    {
        var tags = ImageTag().Matches(prompt);
        var order = tags.Select(Number).ToList();
        Check(order, tokenCounts.Count, description);
        var done = 0;
        foreach (var (tag, image) in tags.Zip(order))
        {
            tokenizer.Encode(prompt[done..tag.Index], addBos: true, ids);
            ids.AddRange(Enumerable.Repeat(-(long)image, tokenCounts[image - 1]));
            done = tag.Index + tag.Length;
        }
        tokenizer.Encode(prompt[done..], addBos: true, ids);
        return order.ConvertAll(image => image - 1);
    }

    private static void Check(List<int> tags, int imageCount, string description)
    {
        var numbers = tags.Distinct().Order().ToList();
        if (numbers.SequenceEqual(Enumerable.Range(1, imageCount))) return;
        var got = numbers.Count == 0 ? "none" : string.Join(", ", numbers.Select(Tag));
        throw new InputException($"{description}: the image tags do not match the {imageCount} image(s), got {got}; "
            + (imageCount == 0 ? "remove the tags or add images." : $"use {Tags(1, imageCount)}, each at least once."));
    }

    private static string Tag(int number) => string.Create(CultureInfo.InvariantCulture, $"<|image_{number}|>");

    private static int Number(Match tag) =>
        int.TryParse(tag.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : int.MaxValue;

    [GeneratedRegex(@"<\|image_([0-9]+)\|>")]
    private static partial Regex ImageTag();
}
