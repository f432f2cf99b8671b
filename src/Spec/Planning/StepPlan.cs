using System.Globalization;

namespace Phi3VCluster.Spec.Planning;

/// <summary>How many steps a run takes, which follows from the spec and the number of its samples.</summary>
/// <param name="PerEpoch">The last of an epoch may be smaller.</param>
/// <param name="Total">Of the run.</param>
/// <param name="Warmup">As many of them at growing rates.</param>
public sealed record StepPlan(long Samples, long PerEpoch, long Total, long Warmup)
{
    public static StepPlan Of(RunSpec spec, long samples)
    {
        var perEpoch = (samples + spec.Batch.Global - 1) / spec.Batch.Global;
        var total = Math.Min(spec.Epochs * perEpoch, spec.MaxSteps ?? long.MaxValue);
        return new(samples, perEpoch, total, spec.Optimizer.WarmupOf(total));
    }

    /// <returns>Why so many steps cannot be; null where they can.</returns>
    public string? Problem(RunSpec spec) => Total <= int.MaxValue ? null
        : $"epochs: {Count(spec.Epochs, "epoch")} × {Count(PerEpoch, "step")} are {Count(Total, "step")}, "
            + $"of at most {Count(int.MaxValue, "step")}, got {spec.Epochs}; lower it, or give maxSteps.";

    /// <summary>What is accepted but is hardly meant, a sentence each.</summary>
    public IEnumerable<string> Warnings(RunSpec spec)
    {
        if (Total <= Warmup && Total > 0)
        {
            var reached = spec.Optimizer.LearningRate * (Total - 1) / Warmup;
            yield return $"optimizer.warmupSteps: the run's {Count(Total, "step")} end within its warm-up of {Warmup}: the rate reaches "
                + $"{Short(reached)} of {Short(spec.Optimizer.LearningRate)}; lower it, raise epochs, or lower batch.global.";
        }
        if (spec.Batch.Global > Samples && Samples > 0)
            yield return $"batch.global: there are only {Count(Samples, "training sample")}, got {spec.Batch.Global}: "
                + "every epoch is one step over all of them; lower it.";
        if (spec.MaxSteps > spec.Epochs * PerEpoch)
            yield return $"maxSteps: {Count(spec.Epochs, "epoch")} are over after {Count(Total, "step")}, "
                + $"got {spec.MaxSteps}; raise epochs.";
    }

    public string Words(RunSpec spec) =>
        $"{Count(Total, "step")}: {Count(Samples, "sample")} in batches of {spec.Batch.Global}, {Count(PerEpoch, "step")} an epoch, "
        + $"{Count(spec.Epochs, "epoch")}; warm-up {Warmup}";

    private static string Count(long count, string what) =>
        string.Create(CultureInfo.InvariantCulture, $"{count:N0} {what}{(count == 1 ? "" : "s")}");

    private static string Short(double rate) =>
        rate.ToString("0.##E+0", CultureInfo.InvariantCulture).Replace("E", "e", StringComparison.Ordinal);
}
