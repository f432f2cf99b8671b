namespace Phi3VCluster.Training.Engine;

/// <summary>What a committed step came to; the same on all ranks.</summary>
/// <param name="Loss">Mean over the global batch, without the shares of ranks that had a loss that is not finite.</param>
/// <param name="GradNorm">Global norm before clipping.</param>
/// <param name="LossScale">After the step.</param>
/// <param name="Skipped">Why all ranks left their weights as they were; null for a step like any other.</param>
/// <param name="IsBoundary">All ranks part now.</param>
internal readonly record struct StepResult(
    double Loss, double GradNorm, double LearningRate, double LossScale, long Images, long Tokens, string? Skipped, bool IsBoundary);
