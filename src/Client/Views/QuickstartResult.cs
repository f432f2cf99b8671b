using System.Globalization;
using Phi3VCluster.Client.App;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Views;

/// <summary>What the quickstart learnt. The run's own report counts; the last status stands in for what it does not say.</summary>
/// <param name="seconds">Of the whole command, drawing and start-up included.</param>
internal sealed class QuickstartResult(
    RunSpec spec, RunStatus ended, WrittenReport report, IReadOnlyList<PredictionRow> predictions, double seconds)
{
    private const int ShownPredictions = 6;

    private double? Before => report.EvalBefore ?? ended.EvalBefore;
    private double? After => report.EvalAfter ?? ended.EvalAfter;
    private double? ImagesPerSecond => report.ImagesPerSecond ?? ended.ImagesPerSecond;

    public static QuickstartResult Of(RunSpec spec, RunStatus ended, double seconds) =>
        new(spec, ended, WrittenReport.Read(ended.Output), WrittenReport.Predictions(ended.Output, "eval-after.json"), seconds);

    public object Document() => new
    {
        ended.Run,
        State = Words.Of(ended.State),
        ended.Output,
        Metric = ended.Metric ?? spec.Evaluation.Metric,
        EvalBefore = Before,
        EvalAfter = After,
        Steps = report.Steps ?? ended.Step,
        ended.WorldSize,
        FinalLoss = report.FinalLoss ?? ended.Loss,
        ImagesPerSecond,
        Seconds = seconds,
        ended.TrainSeconds,
        ended.Error,
    };

    public void Show(Output output)
    {
        if (ended.State != RunState.Done)
        {
            RunSummary.Show(output, ended);
            return;
        }
        ShowRow(output);
        if (predictions.Count > 0) ShowPredictions(output);
        var metric = spec.Evaluation.Metric.ToUpperInvariant();
        output.Line($"{metric} on held-out pages: {Words.Number(Before, "0.00")} before, {Words.Number(After, "0.00")} after " +
            "(the best constant answer scores about 0.12).");
        output.Line("What it has learnt: to find the band of a colour on a page and read the word in it. Nothing more; the model is tiny.");
        output.Line($"Everything is in {ended.Output}; the model in its folder model. {Words.Duration(seconds)} in all.");
        output.Line("Next: `phi3v up --silos 3` starts three nodes on this machine, `phi3v submit SPEC` queues a run of your own.");
    }

    private void ShowRow(Output output) => Tables.Write(output,
        [
            new("method"), new("dtype", 2), new("ranks", 1), new("batch", 3), new("img/s"), new("training"),
            new($"{spec.Evaluation.Metric} before → after"),
        ],
        [[
            spec.Method.Kind, spec.Precision, Text(ended.WorldSize), Text(spec.Batch.Global), Words.Number(ImagesPerSecond, "0.0"),
            Words.Duration(ended.TrainSeconds), $"{Words.Number(Before, "0.00")} → {Words.Number(After, "0.00")}",
        ]]);

    private void ShowPredictions(Output output) => Tables.Write(output,
        [new("held-out page"), new("answer", Folds: true), new("the model says", Folds: true), new("score")],
        predictions.Take(ShownPredictions).Select(p => (string[])
            [p.Id ?? "", p.Answers ?? "", p.Prediction ?? "", Words.Number(p.Score, "0.00")]));

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
