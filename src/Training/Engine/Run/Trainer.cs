using System.Diagnostics;
using Phi3VCluster.Training.Collectives;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// A rank's work in one generation, top to bottom: whatever comes next at the state's position, until the run is done or all ranks part.
/// Every rank executes the same lines; what only one may do (write files) is in <see cref="RunFolder"/>, which does nothing on ranks other
/// than 0.
/// </summary>
internal sealed class Trainer(RunHome home, GenerationParts parts, Action<RankProgress> publish, CancellationToken stop)
{
    private readonly TrainingState _state = home.State;
    private SureWrite _write = null!;
    private RankProgress _progress = null!;
    private bool _saidUnwritten;

    /// <param name="start">What the seat has published last.</param>
    /// <returns>Whether the run is done; otherwise all ranks have parted after a committed step.</returns>
    /// <exception cref="RankFault">The run cannot go on, or not with this seat.</exception>
    /// <exception cref="CollectiveException">A peer is gone, or the generation was aborted.</exception>
    /// <exception cref="OperationCanceledException">Aborted while no collective was running.</exception>
    public bool Run(RankProgress start)
    {
        _progress = start;
        _write = new(home, parts.Collective, Say, stop);
        _write.Do("the record of steps", () => parts.Folder.Begin(home, parts.Collective.Generation));
        string?[] notes = [parts.Collective.Note, parts.Checkpoints.Note, parts.Snapshots.Note];
        _state.Notes = [.. _state.Notes, .. notes.OfType<string>().Except(_state.Notes)];
        _progress = Known(start with { TotalSteps = home.Plan.Total });
        while (true)
        {
            stop.ThrowIfCancellationRequested();
            switch (_state.Position.Stage)
            {
                case TrainingStage.EvaluateBefore:
                    if (home.Spec.Evaluation.Before) Evaluate(RankPhase.EvaluatingBefore, "eval-before.json");
                    _state.MoveTo(TrainingStage.Step);
                    break;
                case TrainingStage.Step:
                    if (Step()) return false;
                    break;
                case TrainingStage.Evaluate:
                    EvaluateHalfway();
                    _state.MoveTo(TrainingStage.Step);
                    break;
                case TrainingStage.Export:
                    Export();
                    _state.MoveTo(TrainingStage.EvaluateAfter);
                    break;
                case TrainingStage.EvaluateAfter:
                    EvaluateAfter();
                    _state.MoveTo(TrainingStage.Report);
                    break;
                case TrainingStage.Report:
                    Report();
                    _state.MoveTo(TrainingStage.End);
                    break;
                default:
                    Publish(_progress with { Phase = RankPhase.Finished });
                    return true;
            }
        }
    }

    /// <returns>Whether all ranks part now.</returns>
    private bool Step()
    {
        if (_progress.Phase != RankPhase.Training) Publish(_progress with { Phase = RankPhase.Training });
        parts.Snapshots.Begin();
        home.StepPhases.Begin();
        var started = Stopwatch.GetTimestamp();
        home.StepBegan = started;
        var (step, perEpoch) = (_state.Position.Step + 1, home.Order.StepsPerEpoch);
        var (epoch, index) = ((int)((step - 1) / perEpoch), (int)((step - 1) % perEpoch));
        var samples = home.SampleIds(epoch, index);

        var result = parts.Step.Run(new(epoch, index, samples.Count), step, home.Plan.Total);

        StepRecord record;
        try
        {
            if (result.Skipped is null) parts.Step.ShareValues();
        }
        finally
        {
            home.Clock.Enter(Phase.Idle);
            var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            record = new StepRecord(step, epoch, parts.Collective.Generation, parts.Collective.WorldSize, result.Loss, result.GradNorm,
                result.LearningRate, result.LossScale, result.Images, result.Crops, result.Tokens, seconds, samples, result.Skipped);
            home.StepPhases.Committed(record.Generation);
            _state.Advance(record); // committed: this rank's part of the update is whole, whoever is lost now
        }
        Committed(record, (index + 1.0) / perEpoch);
        if (parts.Snapshots.StepCommitted(result.Stored, record.Seconds) is { } news)
            _state.Notes = [.. _state.Notes, $"step {step}: {news}"];
        if (index + 1 == perEpoch) parts.Step.EpochDone();
        if (!result.IsBoundary || _state.Position.Stage == TrainingStage.Export) return false;
        if (result.IsOrphaned) // whichever rank has missed it first: the one that tells may hear it by now
        {
            var silence = home.Coordinator.Patience.TotalSeconds;
            _state.Notes = [.. _state.Notes, $"step {step}: nothing was heard of the coordinator for {silence:0} s, so all ranks parked"];
        }
        if (_state.IsSharded && !home.Shards!.IsUsed) parts.Checkpoints.WriteNow(); // a part alone is no state: what comes next reads it
        return true;
    }

    private void Committed(StepRecord record, double epochProgress)
    {
        (home.TrainedAt, home.StepBegan) = (Stopwatch.GetTimestamp(), null);
        home.Throughput.Add(record.Images, record.Tokens, record.Seconds);
        var unwritten = parts.Folder.AppendStep(record);
        parts.Metrics.StepCommitted(record, epochProgress);
        unwritten = unwritten is null ? null : $"{RunFolder.StepsFile} could not be written, training goes on: {unwritten}";
        var says = _saidUnwritten ? null : unwritten;
        _saidUnwritten = unwritten is not null;
        foreach (var news in new[] { says, parts.Replicas.StepCommitted(), parts.Checkpoints.StepCommitted() }.OfType<string>())
            _state.Notes = [.. _state.Notes, $"step {record.Step}: {news}"];
        Publish(Known(_progress));
    }

    /// <summary>With what the state says of the run as a whole.</summary>
    private RankProgress Known(RankProgress progress)
    {
        var last = _state.Records.Count > 0 ? _state.Records[^1] : null;
        return progress with
        {
            Step = _state.Position.Step,
            Epoch = (int)(_state.Position.Step / home.Order.StepsPerEpoch),
            Loss = last?.Loss ?? progress.Loss,
            GradNorm = last?.GradNorm ?? progress.GradNorm,
            LearningRate = last?.LearningRate ?? progress.LearningRate,
            ImagesPerSecond = last is null ? progress.ImagesPerSecond : home.Throughput.RecentImagesPerSecond,
            TrainSeconds = home.Throughput.Seconds,
            StepSeconds = home.Throughput.RecentStepSeconds,
            CheckpointStep = home.Writer.NewestStep,
            Notes = parts.Folder.Writes ? _state.Notes : [],
            EvalBefore = ValueAt(0),
            EvalAfter = ValueAt(home.Plan.Total),
        };
    }

    private double? ValueAt(long step) => _state.Evaluations.FirstOrDefault(one => one.Step == step)?.Value;

    private void Export()
    {
        Publish(_progress with { Phase = RankPhase.Exporting });
        home.Clock.Enter(Phase.Export);
        using (NewDisposeScope())
        {
            var (model, optimizer) = (home.Model, _state.Optimizer);
            var values = model.Plan.HasAdapters ? optimizer.GatherMasters(Gather) : model.Parameters.Values;
            _write.Do("what was trained", () => model.Export(parts.Folder.Path, values, stop));
        }
        Report(); // once with what is known when the weights are safe, and again with the last evaluation
        home.Clock.Enter(Phase.Idle);

        void Gather(Tensor part)
        {
            if (_state.IsSharded) parts.Collective.AllGather(part);
        }
    }

    private void Report() =>
        _write.Do("the report", () => parts.Folder.WriteReport(RunReport.Of(home, parts, _progress)));

    /// <exception cref="RankFault">It failed; says where the weights are all the same.</exception>
    private void EvaluateAfter()
    {
        try
        {
            Evaluate(RankPhase.EvaluatingAfter, "eval-after.json");
        }
        catch (Exception error) when (error is not (CollectiveException or OperationCanceledException))
        {
            var weights = Path.Combine(parts.Folder.Path, home.Model.ExportFolder);
            var cause = RankWorker.Explain(error);
            throw new RankFault($"what was trained is whole, in {weights}, but the last evaluation failed: {cause}", error);
        }
    }

    /// <summary>Between two steps, with the trained values as they are: training goes on as if nothing had been.</summary>
    private void EvaluateHalfway()
    {
        var step = _state.Position.Step;
        Evaluate(RankPhase.Training, $"eval-step-{step:D6}.json");
        var (value, loss) = (_state.Evaluations[^1].Value, _state.Evaluations[^1].Loss);
        var note = FormattableString.Invariant($"step {step}: {home.Spec.Evaluation.Metric} {value:G6}, held-out loss {loss:G6}");
        Say(note);
    }

    private void Evaluate(RankPhase phase, string file)
    {
        if (parts.Evaluator is not { } evaluator) return;
        Publish(_progress with { Phase = phase });
        home.Clock.Enter(Phase.Evaluation);
        var evaluation = evaluator.Run(stop);
        home.Clock.Enter(Phase.Idle);
        _write.Do(file, () => parts.Folder.WriteEvaluation(file, evaluation));
        _state.Add(new(_state.Position.Step, evaluation.Value, evaluation.Loss));
        Publish(Known(_progress));
    }

    private void Say(string note)
    {
        _state.Notes = [.. _state.Notes, note];
        Publish(Known(_progress));
    }

    private void Publish(RankProgress progress) => publish(_progress = progress);
}
