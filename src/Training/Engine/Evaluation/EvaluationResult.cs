namespace Phi3VCluster.Training.Engine;

/// <summary>What a model is worth on held-out samples, with every prediction.</summary>
/// <param name="Metric">The metric's name.</param>
/// <param name="Value">Mean of the scores, 0..1; the loss where that is the metric.</param>
/// <param name="Loss">Mean over the samples of <see cref="EvaluatedSample.Loss"/>.</param>
/// <param name="Predictions">In the order of the data.</param>
internal sealed record EvaluationResult(string Metric, double Value, double Loss, IReadOnlyList<EvaluatedSample> Predictions);

/// <param name="Loss">Mean cross-entropy of the answer tokens, the first of several accepted answers.</param>
/// <param name="Prediction">Null where the loss is the metric: nothing is generated then.</param>
internal sealed record EvaluatedSample(int Index, string Id, double Loss, string? Prediction, IReadOnlyList<string> Answers, double? Score);

/// <summary>An evaluation in the course of a run.</summary>
/// <param name="Step">Steps taken before it; 0 for the untrained model.</param>
internal sealed record EvaluationPoint(long Step, double Value, double Loss);
