using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Own data as LLaVA has it, one JSON list or JSON lines: <c>{"id", "image": path or [paths], "conversations": [{"from": "human",
/// "value"}, {"from": "gpt", "value"}, …]}</c>. The images go to the <c>&lt;image&gt;</c> tags in order, over all turns. Paths as in
/// <see cref="Conversations"/>; other keys are ignored.
/// </summary>
internal sealed class Llava : IDataset
{
    private const string Tag = "<image>";

    public string Name => "llava";

    public IDatasetReader Open(DataSpec spec, string pathOrGlob) =>
        Opening.Open(spec, pathOrGlob, path => new JsonReader(new(path, mayBeList: true), spec, path, Parse));

    private static Sample? Parse(JsonElement row, JsonRow into)
    {
        var messages = into.Conversations(row);
        if (messages.Count % 2 == 1) into.Refuse($"the last of {messages.Count} messages has no answer; let human and gpt take turns.");
        var texts = messages.Select((message, number) => Text(message, number, into)).ToList();
        var paths = Paths(row, into);
        var images = into.Images(paths, at: "");
        var tags = texts.Where((_, number) => number % 2 == 0).Sum(Count);
        if (messages.Count > 0 && tags != paths.Count)
            into.Refuse($"has {tags} {Tag} tag(s) for {paths.Count} image(s); write a tag for each image.");
        return into.Problems.Count > 0 ? null : new(into.Id(row), Turns(texts, images, into));
    }

    private static List<Turn> Turns(List<string> texts, IReadOnlyList<IImageSource> images, JsonRow into)
    {
        var (turns, given) = (new List<Turn>(), 0);
        foreach (var pair in texts.Chunk(2))
        {
            var (user, count) = (Numbered(pair[0]), Count(pair[0]));
            if (ImageTags.Problem(user, count) is { } problem) into.Refuse($"turn {turns.Count + 1}: {problem}");
            turns.Add(new([.. images.Skip(given).Take(count)], user, [pair[1]]));
            given += count;
        }
        return turns;
    }

    private static string Text(JsonElement message, int number, JsonRow into)
    {
        var at = $"message {number + 1}: ";
        if (message.ValueKind != JsonValueKind.Object)
        {
            into.Refuse($"{at}is a JSON {JsonRow.Kind(message)}; write an object with from and value.");
            return "";
        }
        var expected = number % 2 == 0 ? "human" : "gpt";
        if (into.Text(message, "from", at) is { Length: > 0 } from && from != expected)
            into.Refuse($"{at}is from {from}, expected {expected}; let human and gpt take turns, human first.");
        return into.Text(message, "value", at);
    }

    private static IReadOnlyList<JsonElement> Paths(JsonElement row, JsonRow into) =>
        row.ValueKind != JsonValueKind.Object || !row.TryGetProperty("image", out var image) ? []
        : image.ValueKind == JsonValueKind.String ? [image]
        : into.List(row, "image", at: "") ?? [];

    private static int Count(string text) => text.Split(Tag).Length - 1;

    /// <summary>The text with its tags as those of images 1, 2, …</summary>
    private static string Numbered(string text) =>
        string.Concat(text.Split(Tag).Select((part, number) => number == 0 ? part : ImageTags.Of(number) + part));
}
