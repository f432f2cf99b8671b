using System.Globalization;
using System.Text.RegularExpressions;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training;

/// <summary>The tags <c>&lt;|image_k|&gt;</c> that say where in a prompt its image k belongs, from 1.</summary>
public static partial class ImageTags
{
    public static string Of(int number) => string.Create(CultureInfo.InvariantCulture, $"<|image_{number}|>");

    /// <summary>Tags of <paramref name="count"/> images, joined.</summary>
    public static string Joined(int first, int count) => string.Concat(Enumerable.Range(first, count).Select(Of));

    public static bool AreIn(string text) => Tag().IsMatch(text);

    /// <summary>Where the tags stand, and their numbers.</summary>
    public static IReadOnlyList<(int Begin, int End, int Number)> Find(string text) =>
        [.. Tag().Matches(text).Select(match => (match.Index, match.Index + match.Length, Number(match)))];

    /// <summary>The text with every tag's number raised by <paramref name="by"/>.</summary>
    public static string Shift(string text, int by) => by == 0 ? text : Tag().Replace(text, match => Of(Number(match) + by));

    /// <summary>What is wrong with a text that must hold the tags of images 1 … <paramref name="imageCount"/>; null if nothing.</summary>
    public static string? Problem(string text, int imageCount) => Problem(Find(text), imageCount);

    /// <summary>The same of tags that were found.</summary>
    public static string? Problem(IReadOnlyList<(int Begin, int End, int Number)> tags, int imageCount)
    {
        var numbers = tags.Select(tag => tag.Number).Distinct().Order().ToList();
        if (numbers.SequenceEqual(Enumerable.Range(1, imageCount))) return null;
        var got = numbers.Count == 0 ? "none" : Shown.Value(string.Join(", ", numbers.Select(Of)));
        return $"the image tags do not match the {imageCount} image(s), got {got}; "
            + (imageCount == 0 ? "remove the tags or add images." : $"use {Shown.Value(Joined(1, imageCount))}, each at least once.");
    }

    private static int Number(Match tag) =>
        int.TryParse(tag.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : int.MaxValue;

    [GeneratedRegex(@"<\|image_([0-9]+)\|>")]
    private static partial Regex Tag();
}
