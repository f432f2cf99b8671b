using Phi3VCluster.Client.App;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Views;

/// <summary>What an evaluation found.</summary>
internal static class EvaluationView
{
    private const int ShownSamples = 10;

    /// <summary>One key a metric that was asked for, then the samples.</summary>
    public static object Document(EvaluateResult result)
    {
        var document = result.Values.ToDictionary(value => value.Key, value => (object)value.Value);
        document["seconds"] = result.Seconds;
        document["load_seconds"] = result.LoadSeconds;
        document["precision"] = result.Precision;
        document["num_crops"] = result.NumCrops;
        document["notes"] = result.Notes;
        document["samples"] = result.Samples;
        return document;
    }

    public static void Show(Output to, EvaluateResult result)
    {
        Tables.Write(to,
            [new("sample"), new("loss", 1), new("the model says", Folds: true), new("answer", Folds: true), new("score")],
            result.Samples.Take(ShownSamples).Select(row => (string[])
                [row.Id, Words.Number(row.Loss), row.Prediction ?? "-", string.Join(" / ", row.Answers), Words.Number(row.Score, "0.00")]));
        if (result.Samples.Count > ShownSamples)
            to.Line($"{ShownSamples} of {result.Samples.Count} samples are shown; --json has them all.");
        to.Line(string.Join("  ", result.Values.Select(value => $"{value.Key} {Words.Number(value.Value)}")) +
            $"  over {result.Samples.Count} samples in {Words.Duration(result.Seconds)}");
    }
}
