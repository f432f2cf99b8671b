using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>Loss and metrics of a model over a dataset, sample by sample.</summary>
internal static class EvaluationRun
{
    /// <param name="publish">(phase, samples done, samples in all).</param>
    /// <exception cref="InputException">The model, the data or a metric's name is wrong.</exception>
    public static EvaluateResult Run(EvaluateJob job, Action<string, int, int> publish, CancellationToken stop)
    {
        var metrics = Metrics(job);
        var loading = Stopwatch.GetTimestamp();
        using var data = RunData.OpenEvaluation(new() { Kind = job.DataKind, Eval = job.Data }, stop)!;
        var samples = Enumerable.Range(0, data.Count).Select(data.Read).ToList(); // texts only
        using var model = LoadedModel.Load(job);
        var started = Stopwatch.GetTimestamp();
        var rows = new List<Scored>();
        foreach (var sample in samples)
        {
            stop.ThrowIfCancellationRequested();
            publish("evaluating", rows.Count, samples.Count);
            rows.Add(Score(job, sample, metrics, model, stop));
        }
        var values = job.Metrics.Distinct().ToDictionary(name => name, name => name == EvaluateJob.Loss
            ? rows.Average(row => row.Loss!.Value)
            : rows.Average(row => row.Scores[metrics.FindIndex(metric => metric.Name == name)]));
        return new(values, [.. rows.Select(row => row.ToRow())],
            Stopwatch.GetElapsedTime(started).TotalSeconds, Stopwatch.GetElapsedTime(loading, started).TotalSeconds);
    }

    private static Scored Score(EvaluateJob job, Sample sample, List<IMetric> metrics, LoadedModel model, CancellationToken stop)
    {
        var answers = sample.Turns[^1].Answers;
        double? loss = job.Metrics.Contains(EvaluateJob.Loss)
            ? model.Loss(model.Encoder.EncodeForTraining(WithFirstAnswers(sample), seed: 0, epoch: 0))
            : null;
        if (metrics.Count == 0) return new(sample.Id, loss, null, answers, []);
        var prediction = model.Ask(model.Encoder.EncodeForEvaluation(sample), job.MaxNewTokens, stop).Text;
        return new(sample.Id, loss, prediction, answers, [.. metrics.Select(metric => metric.Score(prediction, answers))]);
    }

    /// <summary>Training draws one of several answers; a loss that is compared must not depend on a draw.</summary>
    private static Sample WithFirstAnswers(Sample sample) =>
        sample with { Turns = [.. sample.Turns.Select(turn => turn with { Answers = [turn.Answers[0]] })] };

    private static List<IMetric> Metrics(EvaluateJob job)
    {
        var known = Catalog<IMetric>.All.ToDictionary(metric => metric.Name);
        var problems = job.Metrics.Where(name => name != EvaluateJob.Loss && !known.ContainsKey(name)).Select(name =>
            $"--metrics: unknown, got {name}; choose some of {string.Join(", ", known.Keys.Prepend(EvaluateJob.Loss))}.").ToList();
        if (!Catalog<IDataset>.All.Any(kind => kind.Name == job.DataKind))
            problems.Add($"--data: unknown kind, got {job.DataKind}; "
                + $"choose one of {string.Join(", ", Catalog<IDataset>.All.Select(kind => kind.Name))}.");
        if (problems.Count > 0) throw new InputException(problems);
        return [.. job.Metrics.Distinct().Where(known.ContainsKey).Select(name => known[name])];
    }

    private sealed record Scored(string Id, double? Loss, string? Prediction, IReadOnlyList<string> Answers, double[] Scores)
    {
        public EvaluateRow ToRow() => new(Id, Loss, Prediction, Answers, Scores.Length > 0 ? Scores[0] : null);
    }
}
