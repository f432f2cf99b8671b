using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Own data, JSON lines or a JSON list: <c>{"id", "system", "conversations": [{"images": [paths], "user", "assistant"}, …]}</c>. Image
/// paths start from the spec's image root, or the file's folder. Other keys are ignored, unless they mean pictures.
/// </summary>
internal sealed class Conversations : IDataset
{
    private const string Images = "images";
    private const string Advice = "write images, a list of paths, in the turn that shows them";

    public string Name => "conversations";

    public IDatasetReader Open(DataSpec spec, string pathOrGlob) =>
        Opening.Open(spec, pathOrGlob, path => new JsonReader(new(path), spec, path, Parse));

    private static Sample? Parse(JsonElement row, JsonRow into)
    {
        var given = into.Turns(row, "conversations");
        if (OtherForm(given) is { } kind)
        {
            into.Refuse($"the turns have {kind.Key}, not user and assistant; choose data.kind {kind.Name}.");
            return null;
        }
        var turns = given.Select((turn, number) => Turn(turn, into, $"turn {number + 1}: ")).ToList();
        var hasPictures = turns.Any(turn => turn.Images.Count > 0);
        into.RefusePictures(row, hasPictures, at: "", Advice);
        for (var i = 0; i < given.Count; i++) into.RefusePictures(given[i], hasPictures, $"turn {i + 1}: ", Advice, Images);
        return into.Problems.Count > 0 ? null : new(into.Id(row), turns, System: into.System(row));
    }

    private static Turn Turn(JsonElement turn, JsonRow into, string at)
    {
        if (turn.ValueKind != JsonValueKind.Object)
        {
            into.Refuse($"{at}is a JSON {JsonRow.Kind(turn)}; write an object with images, user and assistant.");
            return new([], "", []);
        }
        var paths = into.List(turn, Images, at) ?? [];
        var user = into.Text(turn, "user", at);
        if (ImageTags.AreIn(user) && ImageTags.Problem(user, paths.Count) is { } problem) into.Refuse(at + problem);
        return new(into.Images(paths, at), user, [into.Text(turn, "assistant", at)]);
    }

    /// <summary>The form of turns that are those of another.</summary>
    private static (string Key, string Name)? OtherForm(IReadOnlyList<JsonElement> turns)
    {
        if (turns.Count == 0 || turns[0].ValueKind != JsonValueKind.Object || turns[0].TryGetProperty("user", out _)) return null;
        return turns[0].TryGetProperty("from", out _) ? ("from", "llava")
            : turns[0].TryGetProperty("role", out _) ? ("role", "messages") : null;
    }
}
