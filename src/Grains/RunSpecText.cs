using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Grains;

/// <summary>Reads the spec of a submitted run. The CLI has checked it already; the cluster takes nobody's word for it.</summary>
internal static class RunSpecText
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web);

    /// <exception cref="InputException">All that is wrong with it.</exception>
    public static RunSpec Parse(string json)
    {
        RunSpec spec;
        try
        {
            spec = JsonSerializer.Deserialize<RunSpec>(json, Options) ?? throw new InputException("spec: is empty; send the run's spec as JSON.");
        }
        catch (JsonException e)
        {
            throw new InputException($"{(string.IsNullOrEmpty(e.Path) ? "spec" : e.Path)}: is not the JSON of a run spec, got: {e.Message}");
        }
        var problems = Problems(spec).ToList();
        return problems.Count == 0 ? spec : throw new InputException(problems);
    }

    private static IEnumerable<string> Problems(RunSpec spec)
    {
        if (spec.Name.Length == 0 || !spec.Name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            yield return $"name: must be of letters, digits, '-', '_' and '.', got '{spec.Name}'; rename it.";
        if (!Path.IsPathRooted(spec.Output))
            yield return $"output: must be an absolute path in the cluster, got '{spec.Output}'; begin it with '/'.";
        if (spec.Cluster.MinRanks < 1)
            yield return $"cluster.minRanks: must be at least 1, got {spec.Cluster.MinRanks}; raise it.";
        if (spec.Cluster.MaxRanks < spec.Cluster.MinRanks)
            yield return $"cluster.maxRanks: must be at least minRanks, got {spec.Cluster.MaxRanks} < {spec.Cluster.MinRanks}; raise it.";
        if (spec.Cluster.Device is not ("auto" or "cpu" or "cuda"))
            yield return $"cluster.device: unknown, got '{spec.Cluster.Device}'; choose auto, cpu or cuda.";
    }
}
