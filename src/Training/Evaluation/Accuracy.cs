namespace Phi3VCluster.Training.Evaluation;

/// <summary>
/// 1 when the prediction is one of the answers, both stripped of whitespace and dots and in lower case (Hateful Memes, NLVR2).
/// </summary>
internal sealed class Accuracy : IMetric
{
    public string Name => "accuracy";

    public double Score(string prediction, IReadOnlyList<string> answers)
    {
        var predicted = Normalise(prediction);
        return answers.Any(answer => Normalise(answer) == predicted) ? 1 : 0;
    }

    private static string Normalise(string text) => PythonText.Lower(PythonText.StripAnswer(text));
}
