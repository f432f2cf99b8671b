using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Own data as LLaVA has it, one JSON list or JSON lines: <c>{"id", "image": path or [paths], "conversations": [{"from": "human",
/// "value"}, {"from": "gpt", "value"}, …]}</c>, perhaps after a message from "system". The images go to the <c>&lt;image&gt;</c> tags in
/// order, over all turns. Paths as in <see cref="Conversations"/>; other keys are ignored, unless they mean pictures.
/// </summary>
internal sealed class Llava : IDataset
{
    private const string Advice = "write image, a path or a list of paths, beside conversations, and <image> in the text";

    private static readonly DialogueKeys Keys = new("from", "value", ["human", "user"], ["gpt", "assistant"]);

    public string Name => "llava";

    public IDatasetReader Open(DataSpec spec, string pathOrGlob) =>
        Opening.Open(spec, pathOrGlob, path => new JsonReader(new(path), spec, path, Parse));

    private static Sample? Parse(JsonElement row, JsonRow into)
    {
        var dialogue = Dialogue.Read(row, "conversations", Keys, into, Text);
        if (!dialogue.IsOfThisForm) return null;
        var paths = Paths(row, into);
        var pictures = new PictureQueue([.. paths.Select((path, number) => into.Image(path, $"image {number + 1}"))]);
        into.RefusePictures(row, pictures.Count > 0, at: "", Advice, "image");
        var turns = new List<Turn>();
        for (var i = 0; i < dialogue.Messages.Count; i++)
        {
            var message = dialogue.Messages[i];
            if (message.ValueKind != JsonValueKind.Object) continue;
            var (at, said) = (dialogue.At(i), Text(message, dialogue.At(i)));
            into.RefusePictures(message, pictures.Count > 0, at, Advice);
            if (i % 2 == 1) turns[^1] = turns[^1] with { Answers = [said] };
            else
            {
                var question = new TaggedText(into, at);
                question.Add(said, pictures);
                turns.Add(new(question.Images, question.Text, []));
            }
        }
        if (dialogue.Messages.Count > 0 && pictures.Taken != pictures.Count)
            into.Refuse($"has {pictures.Taken} {TaggedText.Tag} tag(s) for {pictures.Count} image(s); write a tag for each image.");
        return into.Problems.Count > 0 ? null : new(into.Id(row), turns, System: dialogue.System);

        string Text(JsonElement message, string at) => into.Text(message, Keys.What, at);
    }

    private static IReadOnlyList<JsonElement> Paths(JsonElement row, JsonRow into) =>
        row.ValueKind != JsonValueKind.Object || !row.TryGetProperty("image", out var image) ? []
        : image.ValueKind == JsonValueKind.String ? [image]
        : into.List(row, "image", at: "") ?? [];
}
