using System.ComponentModel;
using System.Text.Json;

namespace Phi3VCluster.Silo.Http;

/// <summary>What a run's evaluations noted of each held-out sample.</summary>
internal sealed class Predictions
{
    private readonly RunOutput _run;
    private readonly EvaluationFile? _before, _after;

    private Predictions(RunOutput run, EvaluationFile? before, EvaluationFile? after) => (_run, _before, _after) = (run, before, after);

    private IReadOnlyList<EvaluationLine> Known => (_after ?? _before)?.Predictions ?? [];

    public static Predictions Read(RunOutput run) => new(run, File(run.At("eval-before.json")), File(run.At("eval-after.json")));

    /// <summary>Null where the evaluations have no such sample.</summary>
    public string? IdOf(int index) => Known.FirstOrDefault(sample => sample.Index == index)?.Id;

    public PredictionsReply Page(int from, int count)
    {
        var earlier = _before?.Predictions.ToDictionary(sample => sample.Index) ?? [];
        var later = _after?.Predictions.ToDictionary(sample => sample.Index) ?? [];
        return new(_run.Run, Known.Count > 0 ? null : _run.Problem, (_after ?? _before)?.Metric, _before?.Value, _after?.Value, Known.Count,
            [.. Known.Skip(from).Take(count).Select(sample => new SampleRow(
                sample.Index, sample.Id, sample.Answers, SaidRow.Of(earlier.GetValueOrDefault(sample.Index)),
                SaidRow.Of(later.GetValueOrDefault(sample.Index))))]);
    }

    // Such files appear whole, by rename.
    private static EvaluationFile? File(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<EvaluationFile>(System.IO.File.ReadAllBytes(path), ApiJson.Options);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private sealed record EvaluationFile(string Metric, double Value, IReadOnlyList<EvaluationLine> Predictions);
}

/// <summary>A sample of an evaluation's file.</summary>
internal sealed record EvaluationLine(int Index, string Id, double Loss, string? Prediction, IReadOnlyList<string> Answers, double? Score);

/// <summary>Held-out samples, in the order of the data.</summary>
internal sealed record PredictionsReply(
    string Run,
    [property: Description("Why there is nothing, as a sentence; null where something is, or is not due yet.")] string? Problem,
    [property: Description("What scores are; null before the first evaluation.")] string? Metric,
    [property: Description("Over all samples, before training; null where that was not evaluated.")] double? EvalBefore,
    [property: Description("Over all samples, after it.")] double? EvalAfter,
    [property: Description("How many samples there are.")] int Total,
    IReadOnlyList<SampleRow> Samples);

/// <summary>A held-out sample.</summary>
internal sealed record SampleRow(
    [property: Description("Its number; as in /runs/{run}/samples/{index}.")] int Index,
    [property: Description("The data's name for it.")] string Id,
    [property: Description("Any of them is right.")] IReadOnlyList<string> Answers,
    [property: Description("Null where it was not evaluated.")] SaidRow? Before,
    [property: Description("Null where it was not evaluated yet.")] SaidRow? After);

/// <summary>What the model said to a sample.</summary>
internal sealed record SaidRow(
    [property: Description("Null where the loss is the metric: nothing is generated then.")] string? Prediction,
    [property: Description("0 to 1.")] double? Score,
    [property: Description("Mean cross-entropy of the answer.")] double Loss)
{
    public static SaidRow? Of(EvaluationLine? line) => line is null ? null : new(line.Prediction, line.Score, line.Loss);
}
