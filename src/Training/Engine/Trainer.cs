using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Collectives;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// A rank's whole run, top to bottom: evaluate, train epoch by epoch, export, evaluate, report. Every rank of a run executes the same
/// lines; what only one may do (write files) is in <see cref="RunFolder"/>, which does nothing on ranks other than 0.
/// </summary>
internal sealed class Trainer(RunSpec spec, TrainerParts parts, CancellationToken stop) : IDisposable
{
    private readonly Throughput _throughput = new();
    private readonly List<EvaluationPoint> _evaluations = [];
    private Action<RankProgress> _publish = _ => { };
    private RankProgress _progress = null!;
    private long _step;

    /// <summary>Trains to the end, on the calling thread.</summary>
    /// <param name="publish">Takes each new state; called on this thread, several times a second.</param>
    /// <exception cref="RankFault">The run cannot go on.</exception>
    /// <exception cref="OperationCanceledException">Aborted while no collective was running.</exception>
    public void Run(RankProgress start, Action<RankProgress> publish, EpochBarrier barrier)
    {
        var plan = StepPlan.Of(spec, parts.Order.SampleCount);
        var total = plan.Total;
        string?[] notes =
        [
            .. parts.Notes, .. parts.Model.Notes, .. parts.Model.Precision.Lines(), parts.Collective.Note, plan.Words(spec),
            .. plan.Warnings(spec).Select(one => $"warning: {one}"),
        ];
        (_publish, _progress) = (publish, start with { TotalSteps = total, Notes = parts.Folder.Writes ? [.. notes.OfType<string>()] : [] });
        parts.Folder.WriteSpec(spec);

        var before = spec.Evaluation.Before ? Evaluate(RankPhase.EvaluatingBefore, "eval-before.json") : null;
        Publish(_progress with { Phase = RankPhase.Training, EvalBefore = before });
        for (var epoch = 0; epoch < spec.Epochs && _step < total; epoch++)
        {
            TrainEpoch(epoch, total);
            parts.Step.EpochDone();
            if (_step == (epoch + 1) * plan.PerEpoch) WaitForAll(barrier, epoch); // maxSteps may end the run within an epoch
        }
        Publish(_progress with { Phase = RankPhase.Exporting });
        parts.Clock.Enter(Phase.Export);
        Export();
        parts.Clock.Enter(Phase.Idle);
        Report();

        Publish(_progress with { EvalAfter = EvaluateAfter() });
        Report();
        Publish(_progress with { Phase = RankPhase.Finished });
    }

    public void Dispose() => parts.Dispose();

    private void Export()
    {
        using var scope = NewDisposeScope();
        var values = parts.Model.Plan.HasAdapters ? parts.Optimizer.GatherMasters(parts.Collective.AllGather) : parts.Model.Parameters.Values;
        if (parts.Folder.Writes) parts.Model.Export(parts.Folder.Path, values, stop);
    }

    /// <summary>Once with what is known when the weights are safe, and again with the last evaluation.</summary>
    private void Report() => parts.Folder.WriteReport(RunReport.Of(spec, parts, _progress, _throughput, _evaluations));

    /// <exception cref="RankFault">It failed; says where the weights are all the same.</exception>
    private double? EvaluateAfter()
    {
        try
        {
            return Evaluate(RankPhase.EvaluatingAfter, "eval-after.json");
        }
        catch (Exception error) when (error is not (CollectiveException or OperationCanceledException))
        {
            var weights = Path.Combine(parts.Folder.Path, parts.Model.ExportFolder);
            var cause = RankWorker.Explain(error);
            throw new RankFault($"what was trained is whole, in {weights}, but the last evaluation failed: {cause}", error);
        }
    }

    private void TrainEpoch(int epoch, long totalSteps)
    {
        for (var n = 0; n < parts.Order.StepsPerEpoch && _step < totalSteps; n++)
        {
            stop.ThrowIfCancellationRequested();
            var started = Stopwatch.GetTimestamp();
            var samples = parts.Order.GlobalBatch(epoch, n);

            var result = parts.Step.Run(new(epoch, n, samples.Count), ++_step, totalSteps);

            parts.Clock.Enter(Phase.Idle);
            Committed(epoch, n, samples, result, Stopwatch.GetElapsedTime(started).TotalSeconds);
            if (_step % spec.Evaluation.EverySteps == 0 && _step < totalSteps) EvaluateHalfway();
        }
    }

    private void Committed(int epoch, int indexInEpoch, IReadOnlyList<int> samples, StepResult result, double seconds)
    {
        _throughput.Add(result.Images, result.Tokens, seconds);
        if (parts.Folder.Writes)
        {
            var record = new StepRecord(_step, epoch, parts.Collective.Generation, parts.Collective.WorldSize, result.Loss, result.GradNorm,
                result.LearningRate, result.LossScale, result.Images, result.Tokens, seconds, [.. samples.Select(parts.Training.IdOf)],
                result.Skipped);
            parts.Folder.AppendStep(record);
            parts.Metrics.StepCommitted(record, _throughput.ImagesPerSecond, (indexInEpoch + 1.0) / parts.Order.StepsPerEpoch);
        }
        Publish(_progress with
        {
            Step = _step,
            Loss = result.Loss,
            GradNorm = result.GradNorm,
            LearningRate = result.LearningRate,
            ImagesPerSecond = _throughput.RecentImagesPerSecond,
            TrainSeconds = _throughput.Seconds,
        });
    }

    private void WaitForAll(EpochBarrier barrier, int epoch)
    {
        Publish(_progress with { Phase = RankPhase.AtBarrier, Epoch = epoch + 1 });
        barrier.Wait(epoch + 1, stop);
        Publish(_progress with { Phase = RankPhase.Training });
    }

    /// <summary>Between two steps, with the trained values as they are: training goes on as if nothing had been.</summary>
    private void EvaluateHalfway()
    {
        if (Evaluate(RankPhase.Training, $"eval-step-{_step:D6}.json") is not { } value || !parts.Folder.Writes) return;
        Publish(_progress with { Notes = [.. _progress.Notes, $"step {_step}: {spec.Evaluation.Metric} {value:G6}, held-out loss {_evaluations[^1].Loss:G6}"] });
    }

    /// <returns>The metric over all held-out samples, or null when there are none.</returns>
    private double? Evaluate(RankPhase phase, string file)
    {
        if (parts.Evaluator is not { } evaluator) return null;
        Publish(_progress with { Phase = phase });
        parts.Clock.Enter(Phase.Evaluate);
        var evaluation = evaluator.Run(stop);
        parts.Clock.Enter(Phase.Idle);
        parts.Folder.WriteEvaluation(file, evaluation);
        _evaluations.Add(new(_step, evaluation.Value, evaluation.Loss));
        return evaluation.Value;
    }

    private void Publish(RankProgress progress) => _publish(_progress = progress);
}
