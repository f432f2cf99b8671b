using System.Globalization;
using System.Text;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Engine;

/// <summary>What the run came to, as <c>report.json</c> (snake_case) and <c>report.md</c>.</summary>
/// <param name="Seconds">Wall time on rank 0 from the first line of the run to its export.</param>
/// <param name="TrainSeconds">Of which training steps.</param>
/// <param name="Evaluations">In the order of their steps.</param>
/// <param name="Done">Nothing is left to do: the last evaluation is in it.</param>
/// <param name="Generations">Who trained together, from when on.</param>
/// <param name="Phases">Rank 0's seconds by phase.</param>
/// <param name="PlanAndMeasured">Null where nothing was trained.</param>
internal sealed record RunReport(
    string Run, string Method, string Precision, int WorldSize, string Device, int GlobalBatch, int Epochs, double LearningRate,
    string? Metric, double? EvalBefore, double? EvalAfter, long Steps, double FinalLoss, double ImagesPerSecond, double TokensPerSecond,
    double Seconds, double TrainSeconds, long TrainedParameters, IReadOnlyList<EvaluationPoint> Evaluations,
    IReadOnlyDictionary<string, double> Phases, string Exported, IReadOnlyList<GenerationRecord> Generations, bool Done,
    PlanComparison? PlanAndMeasured)
{
    public static RunReport Of(RunHome home, GenerationParts parts, RankProgress progress)
    {
        var (spec, throughput) = (home.Spec, home.Throughput);
        return new(
            home.Run, spec.Method.Kind, spec.Precision, parts.Collective.WorldSize, home.DeviceName, spec.Batch.Global, spec.Epochs,
            spec.Optimizer.LearningRate, home.Evaluation is null ? null : spec.Evaluation.Metric, progress.EvalBefore, progress.EvalAfter,
            progress.Step, progress.Loss ?? double.NaN,
            throughput.ImagesPerSecond, throughput.Seconds > 0 ? throughput.Tokens / throughput.Seconds : 0,
            home.Clock.Seconds.Values.Sum(), throughput.Seconds, home.Model.Parameters.Count, home.State.Evaluations,
            home.Clock.Seconds.ToDictionary(phase => phase.Key, phase => Math.Round(phase.Value, 3)), home.Model.ExportFolder,
            home.State.Generations, home.State.Position.Stage >= TrainingStage.Report,
            PlanComparison.Of(home, parts));
    }

    /// <summary>The row in the form of the recipe's tables, where the time went, and the plan beside it.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"# {Run}").AppendLine()
            .AppendLine(CultureInfo.InvariantCulture,
                $"| method | dtype | ranks | device | batch size | learning rate | epochs "
                    + $"| {Metric ?? "metric"} before | after | images/s |")
            .AppendLine("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
            .AppendLine(CultureInfo.InvariantCulture,
                $"| {Method} | {Precision} | {WorldSize} | {Device} | {GlobalBatch} | {LearningRate:g} | {Epochs} "
                    + $"| {Score(EvalBefore)} | {Score(EvalAfter)} | {ImagesPerSecond:f2} |")
            .AppendLine()
            .AppendLine(CultureInfo.InvariantCulture,
                $"{Steps} steps, final loss {FinalLoss:f4}, {TrainedParameters:n0} trained parameters, {TokensPerSecond:n0} tokens/s, "
                    + $"exported to `{Exported}`.")
            .AppendLine();
        if (Evaluations.Count > 0)
            text.AppendLine(CultureInfo.InvariantCulture, $"| step | held-out loss | {Metric} |").AppendLine("| --- | --- | --- |");
        foreach (var (step, value, loss) in Evaluations)
            text.AppendLine(CultureInfo.InvariantCulture, $"| {step} | {loss:f4} | {Score(value)} |");
        text.AppendLine().AppendLine("| phase | seconds | share |").AppendLine("| --- | --- | --- |");
        foreach (var (phase, seconds) in Phases.OrderByDescending(p => p.Value))
            text.AppendLine(CultureInfo.InvariantCulture, $"| {phase} | {seconds:f1} | {seconds / Seconds:p1} |");
        AddGenerations(text);
        PlanAndMeasured?.AddTo(text);
        return text.ToString();
    }

    private void AddGenerations(StringBuilder text)
    {
        if (Generations.Count < 2) return; // nothing happened
        text.AppendLine().AppendLine("| generation | ranks | first step | began | seconds | steps lost | why |")
            .AppendLine("| --- | --- | --- | --- | --- | --- | --- |");
        foreach (var one in Generations)
            text.AppendLine(CultureInfo.InvariantCulture,
                $"| {one.Generation} | {one.WorldSize} | {one.FirstStep} | {one.At:yyyy-MM-dd HH:mm:ss}Z | {one.Seconds:f1} "
                    + $"| {one.StepsLost} | {(one.Cause.Length > 0 ? one.Cause : "the run began")} |");
    }

    private string Score(double? value) => Metric == EvaluationSpec.Loss
        ? value?.ToString("f4", CultureInfo.InvariantCulture) ?? "-"
        : Percent(value);

    private static string Percent(double? ratio) => ratio is { } value ? (100 * value).ToString("f2", CultureInfo.InvariantCulture) : "-";
}
