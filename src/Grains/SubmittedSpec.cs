using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains;

/// <summary>
/// Reads the spec of a submitted run. The CLI has checked it already; the cluster takes nobody's word for it.
/// </summary>
internal static class SubmittedSpec
{
    /// <exception cref="InputException">All that is wrong with it.</exception>
    public static RunSpec Parse(string json)
    {
        var spec = RunSpecJson.FromText(json);
        List<string> problems = [.. RunSpecValidation.Problems(spec)];
        if (!Path.IsPathRooted(spec.Output))
            problems.Add($"output: must be an absolute path in the cluster, got '{spec.Output}'; begin it with '/'.");
        return problems.Count == 0 ? spec : throw new InputException(problems);
    }
}
