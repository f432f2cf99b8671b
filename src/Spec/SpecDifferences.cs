using System.Text.Json;

namespace Phi3VCluster.Spec;

/// <summary>What differs between two specs and would change a run's numbers; how and where it is computed does not.</summary>
public static class SpecDifferences
{
    private static readonly string[] WithoutEffect =
    [
        "name", "output", "model.path", "cluster", "checkpoint", "failure", "attention", "activationCheckpointing", "batch.micro",
        "batch.microTokens", "batch.reduceEvery", "data.workers", "data.cacheFeatures", "data.train", "data.eval", "data.imageRoot",
        "evaluation.maxNewTokens",
        "evaluation.everySteps", "method.adapter",
    ];

    /// <returns>A setting's path, and its value in each.</returns>
    public static IEnumerable<(string Path, string Before, string After)> Between(RunSpec before, RunSpec after)
    {
        var (old, now) = (Flatten(before), Flatten(after));
        return from path in old.Keys.Union(now.Keys).Order(StringComparer.Ordinal)
               where !Array.Exists(WithoutEffect, one => path == one || path.StartsWith(one + ".", StringComparison.Ordinal))
               let values = (Before: old.GetValueOrDefault(path, "nothing"), After: now.GetValueOrDefault(path, "nothing"))
               where values.Before != values.After
               select (path, values.Before, values.After);
    }

    private static Dictionary<string, string> Flatten(RunSpec spec)
    {
        var settings = new Dictionary<string, string>();
        using var json = JsonDocument.Parse(RunSpecJson.ToText(spec));
        Walk(json.RootElement, "");
        return settings;

        void Walk(JsonElement element, string path)
        {
            if (element.ValueKind != JsonValueKind.Object)
            {
                settings[path] = element.ToString();
                return;
            }
            foreach (var property in element.EnumerateObject())
                Walk(property.Value, path.Length == 0 ? property.Name : $"{path}.{property.Name}");
        }
    }
}
