using System.Globalization;
using System.Text.Json;
using Phi3VCluster.Spec;

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

    /// <summary>The list of a row's turns, of which there must be some; empty when refused.</summary>
    /// <param name="key">Its name; another form's is told where it is there instead.</param>
    public IReadOnlyList<JsonElement> Turns(JsonElement row, string key)
    {
        if (row.ValueKind != JsonValueKind.Object) Refuse($"is a JSON {Kind(row)}; write an object with id and {key}.");
        else if (List(row, key, at: "") is not { } turns) Refuse($"{key} is missing{Instead(row)}");
        else if (turns.Count == 0) Refuse($"{key} is empty; write at least one turn.");
        else return turns;
        return [];
    }

    /// <summary>The row's own <c>system</c> text; empty where it has none.</summary>
    public string System(JsonElement row) => row.ValueKind == JsonValueKind.Object && row.TryGetProperty("system", out var text)
        && text.ValueKind is not (JsonValueKind.Null or JsonValueKind.String) ? Refused($"system is a JSON {Kind(text)}; write a text.")
        : row.ValueKind == JsonValueKind.Object && row.TryGetProperty("system", out text) ? text.GetString() ?? "" : "";

    /// <summary>Refuses keys that mean pictures and are not read: their pictures would be left out without a word.</summary>
    /// <param name="advice">What to write instead.</param>
    public void RefusePictures(JsonElement from, bool hasPictures, string at, string advice, params IReadOnlyList<string> read)
    {
        foreach (var key in PictureKeys.Unread(from, hasPictures, read))
            Refuse($"{at}{Shown.Value(key)} is not read in this form; {advice}.");
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
        if (isText && !string.IsNullOrWhiteSpace(text.GetString())) return text.GetString()!;
        return Refused($"{at}{name} is {(text.ValueKind == JsonValueKind.Undefined ? "missing" : Kind(text))}; write a text.");
    }

    /// <summary>The images at paths below the image root; those that are refused are left out.</summary>
    public IReadOnlyList<IImageSource> Images(IReadOnlyList<JsonElement> paths, string at) =>
        [.. paths.Select((path, number) => Image(path, $"{at}image {number + 1}")).OfType<IImageSource>()];

    public static string Kind(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String when element.GetString()!.Length == 0 => "empty",
        JsonValueKind.String when string.IsNullOrWhiteSpace(element.GetString()) => "blank",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        var kind => kind.ToString().ToLower(CultureInfo.InvariantCulture),
    };

    /// <summary>An image by its path below the image root, or as a data: URL; null when refused.</summary>
    /// <param name="at">As "turn 2: image 1".</param>
    public IImageSource? Image(JsonElement given, string at)
    {
        if (given.ValueKind != JsonValueKind.String || given.GetString() is not { Length: > 0 } name)
        {
            Refuse($"{at}: is {Kind(given)}; write the path of an image file.");
            return null;
        }
        if (DataUrl.Is(name))
        {
            if (DataUrl.Bytes(name, out var broken) is { } bytes) return new RowImage(bytes, $"{where}: {at}", turnsImages);
            Refuse($"{at}: {broken}, got {Shown.Value(name)}; write the picture's path, or data:image/png;base64,…");
            return null;
        }
        var path = ImagePath.Of(imageRoot, name, out var problem);
        if (path is not null && FileImage.Find(imageRoot, path, out problem, turnsImages) is { } found) return found;
        Refuse(path is null ? $"{at}: {problem}." : $"{at}: {problem}; mend the path or set data.imageRoot.");
        return null;
    }

    private static string Instead(JsonElement row) =>
        row.TryGetProperty("messages", out _) ? ", messages is there; choose data.kind messages."
        : row.TryGetProperty("conversations", out _) ? ", conversations is there; choose data.kind conversations or llava."
        : row.EnumerateObject().Any()
            ? $", it has {Shown.Value(string.Join(", ", row.EnumerateObject().Select(one => one.Name)))}; write a list of turns."
        : "; write a list of turns.";

    private string Refused(string problem)
    {
        Refuse(problem);
        return "";
    }
}
