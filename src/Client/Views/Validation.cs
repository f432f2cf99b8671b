using System.Globalization;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Commands;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Spec.Planning;

namespace Phi3VCluster.Client.Views;

/// <summary>What <c>phi3v validate</c> found.</summary>
/// <param name="held">What was found in data.eval; null where that names no other files.</param>
/// <param name="heldOut">Samples that evaluate.</param>
/// <param name="model">Null where the sizes could not be read.</param>
internal sealed class Validation(RunSpec spec, StepPlan plan, InspectResult train, InspectResult? held, int heldOut, ModelSizes? model)
{
    private const int ShownBad = 8;
    private const double MostSkipped = 0.01;

    private readonly DiskNeed? _disk = model is null ? null : MachineFit.DiskNeedOf(spec, model, plan.Total);
    private readonly MemoryEstimate? _memory = model is null ? null : MemoryEstimate.Of(spec, RunSession.LocalRanks(spec.Cluster), model);

    public object Document() => new
    {
        Valid = !Problems().Any(),
        Problems = Problems(),
        Warnings = (string[])[.. RunSpecValidation.Warnings(spec), .. Warnings()],
        Rows = train.Rows,
        train.BadRows,
        Bad = train.Bad.Concat(held?.Bad ?? []).Select(bad => new { bad.Place, bad.Reason }),
        TrainingSamples = plan.Samples,
        HeldOutSamples = heldOut,
        train.Good.Images,
        Tokens = train.Good.Tokens,
        train.Context,
        StepsPerEpoch = plan.PerEpoch,
        Steps = plan.Total,
        WarmupSteps = plan.Warmup,
        spec.Optimizer.LearningRate,
        spec.Optimizer.Schedule,
        Ranks = RunSession.LocalRanks(spec.Cluster),
        MemoryBytesPerRank = _memory?.Certain,
        MemoryBytesPerRankWithActivations = _memory is { } need ? need.Certain + need.Activations + need.Workspace : (double?)null,
        MachineMemoryBytes = MachineMemory.Bytes,
        ResultBytes = _disk?.Result,
        CheckpointBytes = _disk?.Checkpoint,
        Checkpoints = _disk?.Checkpoints,
        FreeDiskBytes = MachineFit.FreeBytes(spec.Output),
    };

    /// <summary>Why the run would end before its first step.</summary>
    public IEnumerable<string> Problems()
    {
        foreach (var problem in OfRows("data.train", train)) yield return problem;
        foreach (var problem in held is null ? [] : OfRows("data.eval", held)) yield return problem;
        if (plan.Samples == 0) yield return "data.train: no samples are left to train, got none; give more rows, or hold fewer out.";
        if (heldOut == 0 && spec.Evaluation.EverySteps is { } steps)
            yield return $"evaluation.everySteps: no samples are held out, got {steps}; "
                + "name some in data.eval or data.evalRows, or leave it out.";
        if (plan.Problem(spec) is { } never) yield return never;
        if (_disk?.Problem(spec.Output) is { } full) yield return full;
    }

    /// <summary>What the run would say of its steps and its rows.</summary>
    public IEnumerable<string> Warnings() =>
    [
        .. plan.Warnings(spec),
        .. train.Remarks.Select(remark => $"data.train: {remark}"),
        .. (held?.Remarks ?? []).Select(remark => $"data.eval: {remark}"),
    ];

    public void Show(Output to)
    {
        to.Sentence($"data: {Count(train.Rows)} rows, {Count(train.BadRows)} of them bad; "
            + $"{Count(plan.Samples)} train, {Count(heldOut)} evaluate; "
            + $"{Count(train.Good.Images)} images");
        if (train.Good.Tokens is { } tokens)
            to.Sentence($"tokens a row: {Count(tokens.Min)} to {Count(tokens.Max)}, "
                + $"median {Words.Number(tokens.Median, "#,0.#")}, of at most {Count(train.Context)}");
        to.Sentence(plan.Words(spec));
        to.Sentence($"rate: {spec.Optimizer.LearningRate.ToString("0.##E+0", CultureInfo.InvariantCulture).ToLowerInvariant()}"
            + $" at its peak, "
            + $"{spec.Optimizer.Schedule} after {Count(plan.Warmup)} steps");
        if (_memory is { } need)
            to.Sentence($"memory: a rank needs about {MachineFit.Gigabytes(need.Certain)} for weights, gradients and moments, and "
                + $"{MachineFit.Gigabytes(need.Activations + need.Workspace)} more for a letter page a pass; "
                + $"this machine has {MachineFit.Gigabytes(MachineMemory.Bytes)}");
        if (_disk is { } disk)
            to.Sentence($"disk: the result takes {MachineFit.Gigabytes(disk.Result)}, "
                + (disk.Checkpoints == 0 ? "no checkpoint is written before the end"
                    : $"{Count(disk.Checkpoints)} checkpoints at a time {MachineFit.Gigabytes(disk.Checkpoint)} each")
                + (MachineFit.FreeBytes(spec.Output) is { } free ? $"; {MachineFit.Gigabytes(free)} are free" : ""));
        if (!Problems().Any()) to.Line("valid");
    }

    private IEnumerable<string> OfRows(string key, InspectResult data)
    {
        var mayBeSkipped = spec.Data.OnBadSample == "skip" && data.BadRows <= MostSkipped * data.Rows;
        if (data.BadRows == 0 || mayBeSkipped) yield break;
        foreach (var bad in data.Bad.Take(ShownBad)) yield return $"{key}: {bad.Place}: {bad.Reason}";
        if (data.BadRows > ShownBad)
            yield return $"{key}: and {Count(data.BadRows - ShownBad)} more bad rows; `phi3v inspect` shows them.";
    }

    private static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
