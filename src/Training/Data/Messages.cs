using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Own data as chat interfaces have it, JSON lines or a JSON list: <c>{"messages": [{"role": "user", "content"}, {"role": "assistant",
/// "content"}, …]}</c>, perhaps after one of the system's. A content is a text, or a list of parts: <c>{"type": "text", "text"}</c>,
/// <c>{"type": "image_url", "image_url": {"url"}}</c>, <c>{"type": "image", "image"}</c>. Pictures may also stand beside the messages, in
/// <c>images</c>: then <c>&lt;image&gt;</c> in a question's text, or a part without a path, takes the next of them.
/// </summary>
internal sealed class Messages : IDataset
{
    private const string Advice = "write it as a part of a user's content, {\"type\": \"image_url\", \"image_url\": {\"url\": path}}, "
        + "or in images beside messages";

    private static readonly DialogueKeys Keys = new("role", "content", ["user"], ["assistant"]);
    private static readonly string[] TextTypes = ["text", "input_text", "output_text"];
    private static readonly string[] PictureTypes = ["image_url", "input_image", "image"];
    private static readonly string[] PictureKeysOfParts = ["image_url", "image", "url", "path"];

    public string Name => "messages";

    public IDatasetReader Open(DataSpec spec, string pathOrGlob) =>
        Opening.Open(spec, pathOrGlob, path => new JsonReader(new(path), spec, path, Parse));

    private static Sample? Parse(JsonElement row, JsonRow into)
    {
        var list = row.ValueKind == JsonValueKind.Object && !row.TryGetProperty("messages", out _)
            && row.TryGetProperty("conversations", out _) ? "conversations" : "messages";
        var dialogue = Dialogue.Read(row, list, Keys, into, (message, at) => Said(message, at, into));
        if (!dialogue.IsOfThisForm) return null;
        var beside = new PictureQueue([.. Beside(row, into).Select((path, number) => into.Image(path, $"image {number + 1}"))]);
        var turns = new List<Turn>();
        for (var i = 0; i < dialogue.Messages.Count; i++)
        {
            var (message, at) = (dialogue.Messages[i], dialogue.At(i));
            if (message.ValueKind != JsonValueKind.Object) continue;
            if (i % 2 == 0) turns.Add(Question(message, at, beside, into));
            else turns[^1] = turns[^1] with { Answers = [Said(message, at, into)] };
        }
        var hasPictures = beside.Count > 0 || turns.Any(turn => turn.Images.Count > 0);
        into.RefusePictures(row, hasPictures, at: "", Advice, "images", "image");
        for (var i = 0; i < dialogue.Messages.Count; i++) into.RefusePictures(dialogue.Messages[i], hasPictures, dialogue.At(i), Advice);
        if (beside.Taken != beside.Count && dialogue.Messages.Count > 0)
            into.Refuse($"has {beside.Taken} {TaggedText.Tag} tag(s) for {beside.Count} image(s) beside the messages; "
                + "write a tag for each image.");
        return into.Problems.Count > 0 ? null : new(into.Id(row), turns, System: dialogue.System);
    }

    private static List<JsonElement> Beside(JsonElement row, JsonRow into)
    {
        var all = new List<JsonElement>();
        if (row.ValueKind != JsonValueKind.Object) return all;
        foreach (var key in (string[])["images", "image"])
        {
            if (row.TryGetProperty(key, out var one) && one.ValueKind == JsonValueKind.String) all.Add(one);
            else all.AddRange(into.List(row, key, at: "") ?? []);
        }
        return all;
    }

    private static Turn Question(JsonElement message, string at, PictureQueue beside, JsonRow into)
    {
        var question = new TaggedText(into, at);
        var parts = Parts(message, at, into);
        var hasText = false;
        foreach (var (part, where) in parts.Select((part, number) => (part, parts.Count == 1 ? at : $"{at}part {number + 1}: ")))
        {
            if (part.ValueKind == JsonValueKind.String)
            {
                question.Add(part.GetString()!, beside);
                hasText = true;
            }
            else if (TypeOf(part) is { } type && TextTypes.Contains(type))
            {
                question.AddLine();
                question.Add(into.Text(part, "text", where), beside);
                hasText = true;
            }
            else if (TypeOf(part) is { } picture && PictureTypes.Contains(picture))
            {
                if (hasText) question.AddLine();
                question.Add(Picture(part, where, beside, into));
                hasText = false;
            }
            else Refuse(part, where, into);
        }
        return new(question.Images, question.Text, []);
    }

    /// <summary>A content of text alone.</summary>
    private static string Said(JsonElement message, string at, JsonRow into)
    {
        var parts = Parts(message, at, into);
        var texts = new List<string>();
        foreach (var part in parts)
        {
            if (part.ValueKind == JsonValueKind.String) texts.Add(part.GetString()!);
            else if (TypeOf(part) is { } type && TextTypes.Contains(type)) texts.Add(into.Text(part, "text", at));
            else Refuse(part, at, into);
        }
        return string.Join('\n', texts);
    }

    /// <summary>A content's parts; a text is its own only one.</summary>
    private static IReadOnlyList<JsonElement> Parts(JsonElement message, string at, JsonRow into)
    {
        if (message.TryGetProperty(Keys.What, out var content) && content.ValueKind == JsonValueKind.Array && content.GetArrayLength() > 0)
            return [.. content.EnumerateArray()];
        return into.Text(message, Keys.What, at).Length > 0 ? [content] : [];
    }

    private static IImageSource? Picture(JsonElement part, string at, PictureQueue beside, JsonRow into)
    {
        foreach (var key in PictureKeysOfParts)
        {
            if (!part.TryGetProperty(key, out var found) || found.ValueKind == JsonValueKind.Null) continue;
            if (found.ValueKind == JsonValueKind.Object && found.TryGetProperty("url", out var url)) found = url;
            return into.Image(found, $"{at}{key}");
        }
        if (beside.Count == 0)
            into.Refuse($"{at}has no picture, got {Shown.Value(part.GetRawText())}; "
                + "write its path as image_url, or in images beside messages.");
        return beside.Take();
    }

    private static void Refuse(JsonElement part, string at, JsonRow into) => into.Refuse(
        at + (TypeOf(part) is { } type ? $"is of type {Shown.Value(type)}" : $"is a JSON {JsonRow.Kind(part)} without a type")
        + ", which is not read here; write text, and in a user's content image_url.");

    private static string? TypeOf(JsonElement part) =>
        part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String
            ? type.GetString() : null;
}
