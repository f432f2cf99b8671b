using System.Text.Json.Nodes;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>
/// Where transformers finds the classes of a model whose code it does not have itself: <c>auto_map</c> names modules beside the
/// configuration, or in another repository as <c>org/repo--module.Class</c>. <c>phi3v download</c> fetches no code, so that what it fetched
/// names modules that are not there; an export points to where they are.
/// </summary>
internal static class AutoMap
{
    private const string Phi3 = "microsoft/Phi-3-vision-128k-instruct", Phi35 = "microsoft/Phi-3.5-vision-instruct";
    private const string Key = "auto_map", Elsewhere = "--", OnlyOfPhi3 = "image_processing_phi3_v",
        OnlyOfPhi35 = "processing_phi3_v.Phi3VImageProcessor";

    private static readonly HashSet<string> Released =
        ["configuration_phi3_v", "modeling_phi3_v", "processing_phi3_v", "image_embedding_phi3_v", OnlyOfPhi3];

    /// <summary>The modules that the folder's configurations expect beside them.</summary>
    public static IEnumerable<string> Modules(string folder) => Configurations(folder)
        .SelectMany(path => Values(path).Where(value => !value.Contains(Elsewhere, StringComparison.Ordinal)).Select(ModuleOf)).Distinct();

    /// <summary>Gives names of modules that are not in the folder their repository; those of unknown code are dropped.</summary>
    /// <returns>A sentence about it, where anything was changed.</returns>
    public static IReadOnlyList<string> PointToCode(string folder)
    {
        string[] missing = [.. Modules(folder).Where(module => !File.Exists(Path.Combine(folder, module + ".py"))).Order()];
        if (missing.Length == 0) return [];
        var repository = Repository(folder);
        foreach (var path in Configurations(folder)) ModelFiles.Edit(path, json => Change(json, missing, repository));
        string[] unknown = [.. missing.Where(module => !Released.Contains(module))];
        return
        [
            .. missing.Length == unknown.Length ? (string[])[] :
                [$"{folder}: the model's code is not beside its weights; auto_map names {repository} for it."],
            .. unknown.Select(module =>
                $"{folder}: auto_map named {module}.py, which is not there and not of the released models; the entry was dropped."),
        ];
    }

    private static void Change(JsonObject json, string[] missing, string repository)
    {
        if (json[Key] is not JsonObject map) return;
        foreach (var (name, value) in map.ToList())
        {
            if (value is JsonArray pair) // a tokenizer's slow and fast class
            {
                JsonNode?[] changed = [.. pair.Select(one => (JsonNode?)Changed(Text(one)))];
                map[name] = new JsonArray(changed);
                if (changed.All(one => one is null)) map.Remove(name);
            }
            else if (Changed(Text(value)) is { } text) map[name] = text;
            else map.Remove(name);
        }
        if (map.Count == 0) json.Remove(Key);

        string? Changed(string value) => value.Length == 0 ? null
            : value.Contains(Elsewhere, StringComparison.Ordinal) || !missing.Contains(ModuleOf(value)) ? value
            : Released.Contains(ModuleOf(value)) ? $"{repository}{Elsewhere}{value}" : null;
    }

    /// <summary>The one that other entries name; else the release whose image processor this is: 3.5 keeps it in another module.</summary>
    private static string Repository(string folder)
    {
        string[] values = [.. Configurations(folder).SelectMany(Values)];
        if (Array.Find(values, value => value.Contains(Elsewhere, StringComparison.Ordinal)) is { } named)
            return named[..named.IndexOf(Elsewhere, StringComparison.Ordinal)];
        if (values.Any(value => ModuleOf(value) == OnlyOfPhi3)) return Phi3;
        return values.Contains(OnlyOfPhi35) || Name(folder).Contains("3.5", StringComparison.Ordinal) ? Phi35 : Phi3;
    }

    private static string Name(string folder) =>
        Text(ModelFiles.Read(Path.Combine(folder, "config.json"))?["_name_or_path"]);

    private static IEnumerable<string> Configurations(string folder) =>
        Directory.EnumerateFiles(folder, "*config.json").Order(StringComparer.Ordinal);

    private static IEnumerable<string> Values(string path) => ModelFiles.Read(path)?[Key] is not JsonObject map ? []
        : map.SelectMany(pair => pair.Value is JsonArray list ? list.ToArray() : [pair.Value])
            .Select(Text).Where(value => value.Length > 0);

    private static string Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : "";

    private static string ModuleOf(string value) => value.Split('.')[0];
}
