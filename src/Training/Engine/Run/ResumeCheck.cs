using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;

namespace Phi3VCluster.Training.Engine;

/// <summary>Whether a run may go on from a checkpoint: anything that would change its numbers must be as it was.</summary>
internal static class ResumeCheck
{
    /// <exception cref="InputException">What differs, side by side.</exception>
    public static void Require(CheckpointManifest manifest, RunSpec spec, string fingerprint, string folder)
    {
        var before = RunSpecJson.FromText(manifest.Spec);
        var problems = SpecDifferences.Between(before, spec)
            .Select(one => $"{one.Path}: was {one.Before} when {folder} was written, got {one.After}; a run that goes on keeps it.")
            .ToList();
        if (problems.Count == 0 && manifest.Fingerprint != fingerprint)
            problems.Add($"{folder}: was written with {manifest.Fingerprint}; here are {fingerprint}; give it the same model and data.");
        if (problems.Count > 0) throw new InputException(problems);
    }
}
