namespace Phi3VCluster.Training.Evaluation;

/// <summary>Scores a generated answer; the metric of a dataset is the mean over its questions. One file each, found by name.</summary>
public interface IMetric : INamed
{
    /// <summary>0 … 1, higher is better.</summary>
    /// <param name="prediction">What was generated, special tokens left out.</param>
    /// <param name="answers">Accepted answers; the best counts.</param>
    double Score(string prediction, IReadOnlyList<string> answers);
}
