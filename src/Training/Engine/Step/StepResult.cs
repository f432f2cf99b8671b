namespace Phi3VCluster.Training.Engine;

/// <summary>What a committed step came to; the same on all ranks.</summary>
/// <param name="Loss">Mean over the global batch, without the shares of ranks that had a loss that is not finite.</param>
/// <param name="GradNorm">Global norm before clipping.</param>
/// <param name="LossScale">After the step; 1 where losses are not scaled.</param>
/// <param name="Images">Of the global batch, as crops and tokens are.</param>
/// <param name="Skipped">Why all ranks left their weights as they were; null for a step like any other.</param>
/// <param name="IsBoundary">All ranks part now.</param>
/// <param name="Stored">Ranks whose newest snapshot is with two seats.</param>
/// <param name="IsOrphaned">Some rank hears nothing of the coordinator.</param>
internal readonly record struct StepResult(
    double Loss, double GradNorm, double LearningRate, double LossScale, long Images, long Crops, long Tokens, string? Skipped,
    bool IsBoundary, int Stored, bool IsOrphaned);
