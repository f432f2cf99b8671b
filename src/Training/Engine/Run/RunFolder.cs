using System.Text.Json;
using System.Text.Json.Serialization;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// The run's folder of results. All ranks hold one for each generation; only rank 0's writes. Whole files appear by rename, so a reader
/// never sees half.
/// </summary>
internal sealed class RunFolder : IDisposable
{
    private static readonly JsonSerializerOptions Line = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // a diverged model's loss is NaN
    };
    private static readonly JsonSerializerOptions Pretty = new(Line) { WriteIndented = true };

    public const string StepsFile = "steps.jsonl";

    private StepsWriter? _steps;

    public RunFolder(string path, bool writes)
    {
        (Path, Writes) = (path, writes);
        if (writes) Directory.CreateDirectory(path);
    }

    public string Path { get; }

    /// <summary>Whether this rank is the one that writes.</summary>
    public bool Writes { get; }

    /// <summary>What is there from the begin of a generation on.</summary>
    public void Begin(RunHome home, long generation)
    {
        WriteText("run.yaml", () => RunSpecYaml.ToText(home.Spec));
        WriteSkippedRows([.. home.Training.SkippedRows, .. home.Evaluation?.SkippedRows ?? []]);
        BeginSteps(home.State.Records, generation);
    }

    /// <summary>
    /// Makes the record of steps what the state says it is: a generation may go on at an earlier step than an old rank 0 wrote. A file that
    /// has lines of a later generation is that one's, and stays.
    /// </summary>
    public void BeginSteps(IReadOnlyList<StepRecord> committed, long generation)
    {
        if (!Writes) return;
        var target = System.IO.Path.Combine(Path, StepsFile);
        if (StepRecords.NewestGeneration(target) > generation)
            throw new RankFault(
                $"{target} has steps of a later generation than {generation}: this rank was left behind.", kind: FaultKind.Echo);
        var temporary = $"{target}.g{generation}.partial";
        File.WriteAllLines(temporary, committed.Select(step => JsonSerializer.Serialize(step, Line)));
        File.Move(temporary, target, overwrite: true);
        _steps = new StepsWriter(target);
    }

    /// <summary>One line a committed step, flushed: what a crash leaves is true.</summary>
    /// <returns>Why it could not be written; it is, with the next for which there is room.</returns>
    public string? AppendStep(StepRecord step) => _steps?.Append(JsonSerializer.Serialize(step, Line));

    public void WriteEvaluation(string file, EvaluationResult evaluation) =>
        WriteText(file, () => JsonSerializer.Serialize(evaluation, Pretty));

    public void WriteTrainability(IReadOnlyList<TrainedGroup> groups) =>
        WriteText("trainability.json", () => JsonSerializer.Serialize(groups, Pretty));

    /// <summary>A line for each reason; no file when no row is skipped.</summary>
    public void WriteSkippedRows(IReadOnlyList<string> problems)
    {
        if (problems.Count > 0) WriteText("skipped-rows.txt", () => string.Join('\n', problems));
    }

    public void WriteReport(RunReport report)
    {
        WriteText("report.json", () => JsonSerializer.Serialize(report, Pretty));
        WriteText("report.md", report.ToMarkdown);
    }

    public void Dispose() => _steps?.Dispose();

    private void WriteText(string file, Func<string> text)
    {
        if (Writes) AtomicFile.Write(System.IO.Path.Combine(Path, file), text() + "\n");
    }
}
