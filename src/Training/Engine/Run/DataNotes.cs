using System.Globalization;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Optim;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a run says of its data at its start: how much there is, and what a user may not have meant.</summary>
internal static class DataNotes
{
    /// <param name="evaluation">Null where nothing evaluates.</param>
    /// <param name="trainsVision">Whether images are what a part of the trained model learns from.</param>
    public static IEnumerable<string> Lines(RunSpec spec, SplitRows training, SplitRows? evaluation, bool trainsVision)
    {
        var held = evaluation is null ? "none evaluates (name some in data.eval or data.evalRows)" : $"{Count(evaluation.Count)} evaluate";
        yield return $"data: {Count(training.Count)} rows train, {Count(training.Remarks.WithoutImages)} of them without an image; {held}";
        if (trainsVision && training.Remarks.WithoutImages == training.Count)
            yield return $"warning: none of the {Count(training.Count)} rows of data.train has an image, and the vision model is to be "
                + "trained: this trains on text alone. Look at the rows with phi3v inspect.";
        foreach (var (key, rows) in ((string, SplitRows?)[])[("data.train", training), ("data.eval", evaluation)])
            foreach (var remark in rows?.Remarks.Sentences() ?? []) yield return $"warning: {key}: {remark}";
        if (DataSplit.EvaluatesOnTrainingRows(spec.Data))
            yield return "warning: data.eval names files of data.train, so evaluation measures rows that are trained; "
                + "name held-out files, or give data.evalRows.";
    }

    /// <exception cref="InputException">The warm-up leaves no step a rate above 0: nothing would be trained.</exception>
    public static void RequireARate(RunSpec spec, StepPlan plan)
    {
        if (plan.Warmup < plan.Total) return;
        var schedule = Catalog<ILearningRateSchedule>.Find(spec.Optimizer.Schedule, "optimizer.schedule");
        if (schedule.RateAt(plan.Total, plan.Total, (int)plan.Warmup, spec.Optimizer.LearningRate) > 0) return;
        throw new InputException("optimizer.warmupSteps: nothing would be trained, "
            + $"{Count(plan.Samples)} rows in batches of {spec.Batch.Global}, "
            + $"{spec.Epochs} epoch(s), make {Count(plan.Total)} step(s) and the warm-up has more, got {plan.Warmup}; "
            + "lower it or batch.global, or raise epochs.");
    }

    private static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
