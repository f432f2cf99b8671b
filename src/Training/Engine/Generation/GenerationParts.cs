using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What a rank's work in one generation is made of; <see cref="GenerationBuilder"/> puts it together. To dispose it frees ring,
/// gradients and feed, and nothing that decides the future.
/// </summary>
internal sealed class GenerationParts : IDisposable
{
    public required ICollective Collective { get; init; }
    public required TrainingStep Step { get; init; }
    /// <summary>Null when the run has no held-out data.</summary>
    public required Evaluator? Evaluator { get; init; }
    public required RunFolder Folder { get; init; }
    public required GenerationCheckpoints Checkpoints { get; init; }
    public required GenerationSnapshots Snapshots { get; init; }
    public required ReplicaCheck Replicas { get; init; }
    public required GenerationMetrics Metrics { get; init; }
    /// <summary>That gradients take on the device.</summary>
    public required long GradientBytes { get; init; }
    /// <summary>Everything that must be released, in this order.</summary>
    public required IReadOnlyList<IDisposable> Owned { get; init; }

    public void Dispose()
    {
        foreach (var part in Owned) part.Dispose();
    }
}
