using System.Text.Json;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Processing;

namespace Phi3VCluster.Training.Tests.Data;

/// <summary>Holds a sample against a row of the recorded expectations; each method returns null, or what differs.</summary>
internal static class ExpectedSample
{
    private const double MeanTolerance = 1.0; // levels of 255, of a decoder that rounds otherwise

    public static string? Compare(Sample sample, JsonElement row) =>
        row.TryGetProperty("id", out var id) && id.GetString() != sample.Id ? $"id {sample.Id}"
        : row.TryGetProperty("turns", out var turns) ? CompareOwn(sample, [.. turns.EnumerateArray()])
        : row.TryGetProperty("answers", out var answers) ? CompareTurn(sample.Turns.Single(), Prompts(row)[0], Texts(answers), row)
        : CompareCauldron(sample, row);

    private static string? CompareOwn(Sample sample, List<JsonElement> turns) => turns.Count != sample.Turns.Count
        ? $"{sample.Turns.Count} turns"
        : First(turns.Select((turn, i) => CompareTurn(
            sample.Turns[i], (turn.GetProperty("prompt").GetString() ?? turn.GetProperty("user").GetString())!,
            [turn.GetProperty("assistant").GetString()!], turn)));

    /// <summary>How many of a row's texts are taken, and which bring the images, is the kind's own.</summary>
    private static string? CompareCauldron(Sample sample, JsonElement row)
    {
        var texts = row.GetProperty("texts").EnumerateArray().ToList();
        var taken = sample.Kind == SampleKind.Conversation ? 1 : texts.Count;
        if (taken != sample.Turns.Count) return $"{sample.Turns.Count} of {texts.Count} texts";
        return First(sample.Turns.Select((turn, i) =>
        {
            var answer = texts[i].GetProperty("assistant").GetString()!;
            return i == 0 || sample.Kind == SampleKind.Alternatives
                ? CompareTurn(turn, Prompts(row)[i], [answer], row)
                : turn.Images.Count > 0 ? $"text {i + 1} has images"
                : CompareTexts(turn, texts[i].GetProperty("user").GetString()!, [answer]);
        }));
    }

    private static string? CompareTurn(Turn turn, string prompt, IReadOnlyList<string> answers, JsonElement withImages) =>
        CompareTexts(turn, prompt, answers) ?? CompareImages(turn.Images, [.. withImages.GetProperty("images").EnumerateArray()]);

    private static string? CompareTexts(Turn turn, string prompt, IReadOnlyList<string> answers) =>
        !turn.Answers.SequenceEqual(answers) ? $"answers {string.Join('|', turn.Answers)}"
        : SampleEncoder.Content(turn, imagesBefore: 0) is var content && content != prompt ? $"prompt {content}" : null;

    private static string? CompareImages(IReadOnlyList<IImageSource> images, List<JsonElement> expected) => images.Count != expected.Count
        ? $"{images.Count} images"
        : First(images.Select((image, i) => CompareImage(image, expected[i])));

    private static string? CompareImage(IImageSource source, JsonElement expected)
    {
        if (FixtureFolder.Sha256(source.Read()) != expected.GetProperty("sha256").GetString()) return $"{source.Description}: other bytes";
        var image = DatasetParityTests.Decode(source);
        if ((image.Width, image.Height) != (expected.GetProperty("width").GetInt32(), expected.GetProperty("height").GetInt32()))
            return $"{source.Description}: {image.Width}×{image.Height}";
        byte[] rgb = [.. image.Pixels.Where((_, i) => i % 4 != 3)];
        if (FixtureFolder.Sha256(rgb) == expected.GetProperty("rgb_sha256").GetString()) return null;
        if (!expected.TryGetProperty("rgb_means", out var means)) return $"{source.Description}: other pixels";
        var furthest = means.EnumerateArray()
            .SelectMany((cell, i) => cell.EnumerateArray().Select((mean, c) => Math.Abs(mean.GetDouble() - Mean(image, i, c))))
            .Max();
        return furthest <= MeanTolerance ? null : $"{source.Description}: {furthest:f2} levels off";
    }

    /// <summary>Of a channel in one of 4 × 4 cells, row by row.</summary>
    private static double Mean(RgbxImage image, int cell, int channel)
    {
        var (left, right) = (cell % 4 * image.Width / 4, (cell % 4 + 1) * image.Width / 4);
        var (top, bottom) = (cell / 4 * image.Height / 4, (cell / 4 + 1) * image.Height / 4);
        return (from y in Enumerable.Range(top, bottom - top)
                from x in Enumerable.Range(left, right - left)
                select (int)image.Pixels[(y * image.Width + x) * 4 + channel]).Average();
    }

    private static List<string> Prompts(JsonElement row) => Texts(row.GetProperty("prompts"));

    private static List<string> Texts(JsonElement list) => [.. list.EnumerateArray().Select(text => text.GetString()!)];

    private static string? First(IEnumerable<string?> problems) => problems.FirstOrDefault(problem => problem is not null);
}
