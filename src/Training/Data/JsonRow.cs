using System.Globalization;
using System.Text.Json;

namespace Phi3VCluster.Training.Data;

/// <summary>One row of own data while it is read: collects all that is wrong with it.</summary>
/// <param name="where">File and place, for messages.</param>
internal sealed class JsonRow(string where, string imageRoot, bool turnsImages)
{
    private readonly List<string> _problems = [];

    /// <summary>Empty for a good row.</summary>
    public IReadOnlyList<string> Problems => _problems;

    /// <param name="problem">As "what: is wrong; do this."</param>
    public void Refuse(string problem) => _problems.Add($"{where}: {problem}");

    /// <summary>The row's own id; rows need none, then it is a name as stable as the file.</summary>
    public string Id(JsonElement row) =>
        row.TryGetProperty("id", out var id) && id.ValueKind is JsonValueKind.String or JsonValueKind.Number ? id.ToString() : where;

    /// <summary>The turns of a row, of which there must be some; empty when refused.</summary>
    public IReadOnlyList<JsonElement> Conversations(JsonElement row)
    {
        if (row.ValueKind != JsonValueKind.Object) Refuse($"is a JSON {Kind(row)}; write an object with id and conversations.");
        else if (List(row, "conversations", at: "") is not { } turns) Refuse("conversations is missing; write a list of turns.");
        else if (turns.Count == 0) Refuse("conversations is empty; write at least one turn.");
        else return turns;
        return [];
    }

    /// <summary>Null where the property is absent or null.</summary>
    /// <param name="at">The place in the row, empty or as "turn 2: ".</param>
    public IReadOnlyList<JsonElement>? List(JsonElement from, string name, string at)
    {
        if (!from.TryGetProperty(name, out var found) || found.ValueKind == JsonValueKind.Null) return null;
        if (found.ValueKind == JsonValueKind.Array) return [.. found.EnumerateArray()];
        Refuse($"{at}{name} is a JSON {Kind(found)}; write a list.");
        return [];
    }

    /// <summary>A text that must be there; empty when refused.</summary>
    public string Text(JsonElement turn, string name, string at)
    {
        var isText = turn.TryGetProperty(name, out var text) && text.ValueKind == JsonValueKind.String;
        if (isText && text.GetString() is { Length: > 0 } found) return found;
        Refuse($"{at}{name} is {(text.ValueKind == JsonValueKind.Undefined ? "missing" : Kind(text))}; write a text.");
        return "";
    }

    /// <summary>The images at paths below the image root; those that are refused are left out.</summary>
    public IReadOnlyList<IImageSource> Images(IReadOnlyList<JsonElement> paths, string at) =>
        [.. paths.Select((path, number) => Image(path, $"{at}image {number + 1}")).OfType<IImageSource>()];

    public static string Kind(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String when element.GetString()!.Length == 0 => "empty",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        var kind => kind.ToString().ToLower(CultureInfo.InvariantCulture),
    };

    private IImageSource? Image(JsonElement path, string at)
    {
        if (path.ValueKind != JsonValueKind.String || path.GetString() is not { Length: > 0 } name)
        {
            Refuse($"{at}: is {Kind(path)}; write the path of an image file.");
            return null;
        }
        var source = FileImage.Find(imageRoot, name, out var problem, turnsImages);
        if (source is null) Refuse($"{at}: {problem}; mend the path or set data.imageRoot.");
        return source;
    }
}
