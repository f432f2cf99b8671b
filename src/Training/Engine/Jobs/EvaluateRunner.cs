using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Processing;
using Phi3VConfig = Phi3VCluster.Training.Model.Phi3VConfig;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>Loss and metrics of a model over a dataset, sample by sample.</summary>
internal static class EvaluateRunner
{
    /// <param name="publish">(phase, samples done, samples in all).</param>
    /// <exception cref="InputException">The model, the data or a metric's name is wrong.</exception>
    public static EvaluateResult Run(EvaluateJob job, Action<string, int, int> publish, CancellationToken stop)
    {
        var metrics = Metrics(job);
        var loading = Stopwatch.GetTimestamp();
        var tokenizer = Tokenizer.Load(job.Model);
        using var data = Open(job, tokenizer, stop);
        using var model = LoadedModel.Load(job, tokenizer);
        var started = Stopwatch.GetTimestamp();
        var rows = new List<ScoredSample>();
        publish("evaluating", 0, data.Count);
        var scorer = model.Scorer(job.Metrics.Contains(EvaluateJob.Loss), metrics, job.MaxNewTokens);
        foreach (var row in scorer.Score(data, Enumerable.Range(0, SampleScorer.GroupCount(data)), stop))
        {
            rows.Add(row);
            publish("evaluating", rows.Count, data.Count);
        }
        var values = job.Metrics.Distinct().ToDictionary(name => name, name => name == EvaluateJob.Loss
            ? rows.Average(row => row.Loss!.Value)
            : rows.Average(row => row.Scores[metrics.FindIndex(metric => metric.Name == name)]));
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        var loadSeconds = Stopwatch.GetElapsedTime(loading, started).TotalSeconds;
        return new(values, [.. rows.Select(Row)], seconds, loadSeconds)
        {
            Precision = model.Precision,
            NumCrops = model.NumCrops,
            Notes = [.. model.Notes, .. Cut(rows, job.MaxNewTokens)],
        };
    }

    /// <exception cref="InputException">In the words of the command line where the data came from there.</exception>
    private static SplitRows Open(EvaluateJob job, Tokenizer tokenizer, CancellationToken stop)
    {
        var spec = job.Section ?? new() { Kind = job.DataKind, Eval = job.Data, ImageRoot = job.ImageRoot, ExifRotate = job.ExifRotate };
        try
        {
            return DataSplit.OpenEvaluation(spec, stop, Check(job, tokenizer)) ?? throw new InputException(
                $"--spec: its data section holds out no samples, got {spec.Train}; give --data, or set data.eval or data.evalRows.");
        }
        catch (InputException error) when (job.Section is null)
        {
            throw new InputException(
                [.. error.Problems.Select(problem => problem
                .Replace("data.eval: ", "--data: ", StringComparison.Ordinal)
                .Replace("data.imageRoot", "--image-root", StringComparison.Ordinal))]);
        }
    }

    private static EvaluateRow Row(ScoredSample row) =>
        new(row.Id, row.Loss, row.Prediction, row.Answers, row.Scores.Count > 0 ? row.Scores[0] : null) { FinishReason = row.FinishReason };

    private static IEnumerable<string> Cut(List<ScoredSample> rows, int maxNewTokens)
    {
        var cut = rows.Count(row => row.FinishReason == "length");
        if (cut > 0) yield return $"{cut} of {rows.Count} answers were cut at --max-new-tokens {maxNewTokens}; raise it to let them end.";
    }

    private static RowCheck Check(EvaluateJob job, Tokenizer tokenizer) => SampleCheck.Of(job.Model, tokenizer,
        CropChoice.Of(job).Count, Phi3VConfig.Read(job.Model).MaxPositions, decodes: false);

    private static List<IMetric> Metrics(EvaluateJob job) =>
        [.. job.Metrics.Distinct().Where(name => name != EvaluateJob.Loss).Select(name => Catalog<IMetric>.Find(name, "--metrics"))];
}
