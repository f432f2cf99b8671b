using System.Globalization;
using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Own data, JSON lines: <c>{"id", "conversations": [{"images": [paths], "user", "assistant"}, …]}</c>. Image paths start from the
/// spec's image root, or the file's folder. Other keys are ignored.
/// </summary>
internal sealed class Conversations : IDataset
{
    public string Name => "conversations";

    public IDatasetReader Open(DataSpec spec, string pathOrGlob)
    {
        var files = Opening.All(DataFiles.Find(spec, pathOrGlob), path => new Reader(path, DataFiles.ImageRoot(spec, path)));
        return Opening.Joined(files, $"{DataFiles.Setting(spec, pathOrGlob)}: {pathOrGlob}");
    }

    private sealed class Reader(string path, string imageRoot) : IDatasetReader
    {
        private readonly JsonLines _lines = new(path);

        public int Count => _lines.Count;

        public Sample Read(int index)
        {
            var where = $"{path}:{_lines.NumberOf(index)}";
            try
            {
                using var document = JsonDocument.Parse(_lines.Read(index));
                return new ConversationRow(where, imageRoot).Parse(document.RootElement);
            }
            catch (JsonException e)
            {
                throw new InputException($"{where}: not JSON ({e.Message}); mend the line or take it out.");
            }
        }

        public void Dispose() => _lines.Dispose();
    }
}

/// <summary>One line of <see cref="Conversations"/>: collects all that is wrong with it before it refuses.</summary>
internal sealed class ConversationRow(string where, string imageRoot)
{
    private readonly List<string> _problems = [];

    public Sample Parse(JsonElement row)
    {
        var turns = new List<Turn>();
        if (row.ValueKind != JsonValueKind.Object) _problems.Add($"{where}: is a JSON {Kind(row)}; write an object with id and conversations.");
        else if (Array(row, "conversations", where) is not { } given) _problems.Add($"{where}: conversations is missing; write a list of turns.");
        else if (given.Count == 0) _problems.Add($"{where}: conversations is empty; write at least one turn.");
        else turns.AddRange(given.Select((turn, number) => ParseTurn(turn, $"{where}: turn {number + 1}")));
        return _problems.Count == 0 ? new(Id(row), turns) : throw new InputException(_problems);
    }

    private string Id(JsonElement row) => row.TryGetProperty("id", out var id) && id.ValueKind is JsonValueKind.String or JsonValueKind.Number
        ? id.ToString()
        : where; // rows need no id; this one is as stable as the file

    private Turn ParseTurn(JsonElement turn, string at)
    {
        if (turn.ValueKind != JsonValueKind.Object)
        {
            _problems.Add($"{at}: is a JSON {Kind(turn)}; write an object with images, user and assistant.");
            return new([], "", []);
        }
        var images = (Array(turn, "images", at) ?? []).Select((image, number) => Image(image, $"{at}: image {number + 1}")).OfType<IImageSource>();
        return new([.. images], Text(turn, "user", at), [Text(turn, "assistant", at)]);
    }

    private IImageSource? Image(JsonElement path, string at)
    {
        if (path.ValueKind != JsonValueKind.String || path.GetString() is not { Length: > 0 } name)
        {
            _problems.Add($"{at}: is {Kind(path)}; write the path of an image file.");
            return null;
        }
        var source = FileImage.Find(imageRoot, name, out var problem);
        if (source is null) _problems.Add($"{at}: {problem}; mend the path or set data.imageRoot.");
        return source;
    }

    private string Text(JsonElement turn, string name, string at)
    {
        if (turn.TryGetProperty(name, out var text) && text.ValueKind == JsonValueKind.String && text.GetString() is { Length: > 0 } found) return found;
        _problems.Add($"{at}: {name} is {(text.ValueKind == JsonValueKind.Undefined ? "missing" : Kind(text))}; write a text.");
        return "";
    }

    /// <summary>Null where the property is absent or null.</summary>
    private List<JsonElement>? Array(JsonElement from, string name, string at)
    {
        if (!from.TryGetProperty(name, out var found) || found.ValueKind == JsonValueKind.Null) return null;
        if (found.ValueKind == JsonValueKind.Array) return [.. found.EnumerateArray()];
        _problems.Add($"{at}: {name} is a JSON {Kind(found)}; write a list.");
        return null;
    }

    private static string Kind(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String when element.GetString()!.Length == 0 => "empty",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        var kind => kind.ToString().ToLower(CultureInfo.InvariantCulture),
    };
}
