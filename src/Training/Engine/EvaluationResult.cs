namespace Phi3VCluster.Training.Engine;

/// <summary>A metric over held-out samples, with every prediction.</summary>
/// <param name="Metric">The metric's name.</param>
/// <param name="Value">Mean of the scores, 0..1.</param>
/// <param name="Predictions">In the order of the data.</param>
internal sealed record EvaluationResult(string Metric, double Value, IReadOnlyList<EvaluatedSample> Predictions);

internal sealed record EvaluatedSample(int Index, string Id, string Prediction, IReadOnlyList<string> Answers, double Score);
