using System.Text;

namespace Phi3VCluster.Training.Evaluation;

/// <summary>
/// Average normalised Levenshtein similarity (DocVQA): 1 − distance / longer length, in code points, 0 where half or more differs. Case
/// counts; the answers are taken as they are.
/// </summary>
internal sealed class Anls : IMetric
{
    private const double Threshold = 0.5;

    public string Name => "anls";

    public double Score(string prediction, IReadOnlyList<string> answers)
    {
        var predicted = CodePoints(PythonText.StripAnswer(prediction));
        return predicted.Length == 0 ? 0 : answers.Select(answer => Similarity(predicted, CodePoints(answer))).DefaultIfEmpty(0).Max();
    }

    private static double Similarity(int[] a, int[] b)
    {
        var distance = (double)Distance(a, b) / Math.Max(a.Length, b.Length);
        return distance < Threshold ? 1 - distance : 0;
    }

    private static int Distance(int[] a, int[] b)
    {
        // row[j] is the distance of a's first i code points to b's first j.
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substituted, Math.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.Length];
    }

    private static int[] CodePoints(string text) => [.. text.EnumerateRunes().Select(rune => rune.Value)];
}
