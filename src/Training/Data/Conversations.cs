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

    public IDatasetReader Open(DataSpec spec, string pathOrGlob) =>
        Opening.Open(spec, pathOrGlob, path => new JsonReader(new(path, mayBeList: false), spec, path, Parse));

    private static Sample? Parse(JsonElement row, JsonRow into)
    {
        var turns = into.Conversations(row).Select((turn, number) => Turn(turn, into, $"turn {number + 1}: ")).ToList();
        return into.Problems.Count > 0 ? null : new(into.Id(row), turns);
    }

    private static Turn Turn(JsonElement turn, JsonRow into, string at)
    {
        if (turn.ValueKind != JsonValueKind.Object)
        {
            into.Refuse($"{at}is a JSON {JsonRow.Kind(turn)}; write an object with images, user and assistant.");
            return new([], "", []);
        }
        var paths = into.List(turn, "images", at) ?? [];
        var user = into.Text(turn, "user", at);
        if (ImageTags.AreIn(user) && ImageTags.Problem(user, paths.Count) is { } problem) into.Refuse(at + problem);
        return new(into.Images(paths, at), user, [into.Text(turn, "assistant", at)]);
    }
}
