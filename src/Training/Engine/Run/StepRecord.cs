namespace Phi3VCluster.Training.Engine;

/// <summary>A committed step, as a line of <c>steps.jsonl</c> (keys in snake_case).</summary>
/// <param name="Step">From 1, over the whole run.</param>
/// <param name="Epoch">From 0.</param>
/// <param name="Loss">Mean over the global batch.</param>
/// <param name="GradNorm">Global norm of the mean gradient, before clipping.</param>
/// <param name="LossScale">1 where losses are not scaled.</param>
/// <param name="Skipped">Why all ranks agreed to leave their weights as they were; null for a step like any other.</param>
/// <param name="Images">Images in the global batch.</param>
/// <param name="Crops">Crops that they were cut into; 0 in a step from before they were counted.</param>
/// <param name="Tokens">Positions of the global batch, image tokens included.</param>
/// <param name="Seconds">Wall time since the last step's end, on rank 0.</param>
/// <param name="SampleIds">The global batch in its order, whichever ranks took them.</param>
internal sealed record StepRecord(long Step, int Epoch, long Generation, int WorldSize, double Loss, double GradNorm, double LearningRate,
    double LossScale, long Images, long Crops, long Tokens, double Seconds, IReadOnlyList<string> SampleIds, string? Skipped);
