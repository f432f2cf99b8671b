using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Optim;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// One optimizer step on one rank. Read <see cref="Run"/>: it is the whole of training, in order. World size 1 runs the same lines
/// with the loopback collective.
/// </summary>
internal sealed class TrainingStep(
    Phi3VModel model, SampleFeed feed, ModelInputs inputs, MicroBatches microBatches, TrainingState state, GradientStore gradients,
    AdamW optimizer, ILearningRateSchedule schedule, Trainability trainability, StepObjections objections, ICollective collective,
    OptimizerSpec spec, PhaseClock clock, Func<bool> wantsBoundary, CancellationToken stop = default,
    Func<bool>? hasStored = null, Func<bool>? isOrphaned = null)
{
    /// <param name="batch">Which global batch: its epoch, its place there, its size over all ranks.</param>
    /// <param name="step">From 1, over the whole run.</param>
    /// <exception cref="RankFault">The run cannot go on: the step is committed nowhere.</exception>
    /// <exception cref="CollectiveException">A peer is gone or the generation was aborted.</exception>
    /// <exception cref="OperationCanceledException">Aborted before the update: nothing has changed but the gradients.</exception>
    public StepResult Run(GlobalBatch batch, long step, long totalSteps)
    {
        using var scope = NewDisposeScope(); // every tensor of the step dies with it
        gradients.Zero();
        var work = Compute(batch); // this rank's share: forward, backward, gradients accumulated

        clock.Enter(Phase.Reduce);
        gradients.StepDone(); // sums over ranks: each loss is already divided by the global batch
        var tally = StepTally.Exchange(collective, work, GradientNorm.SquareSum(gradients), wantsBoundary(), hasStored?.Invoke() ?? false,
            isOrphaned?.Invoke() ?? false);
        var norm = Math.Sqrt(tally.GradientSquares) / state.Scaler.Scale;
        var rate = schedule.RateAt(step, totalSteps, spec.WarmupOf(totalSteps), spec.LearningRate);
        if (tally.Verdict != Vote.Commit) return Result(tally, norm, rate, skipped: objections.Handle(tally, work, step));

        clock.Enter(Phase.Snapshot);
        state.Settle(); // a copy of it that was made beside all this
        clock.Enter(Phase.Optimizer); // from here to the commit no peer is asked and no abort is heard
        var clipped = GradientNorm.ClipFactor(spec.MaxGradNorm, norm) / state.Scaler.Scale;
        state.Tear();
        if (trainability.IsProven) optimizer.Step(rate, hadImages: tally.Images > 0, clipped);
        else trainability.Step(optimizer, rate, step, hadImages: tally.Images > 0, clipped); // the first steps: the same, measured
        state.Scaler.Update(overflowed: false);
        return Result(tally, norm, rate);
    }

    /// <summary>
    /// After an update of a sharded state, by all ranks together: each gets the others' new values. A rank that loses its peers here has
    /// updated its own part all the same.
    /// </summary>
    /// <exception cref="CollectiveException">A peer is gone or the generation was aborted.</exception>
    public void ShareValues()
    {
        if (!state.IsSharded) return;
        clock.Enter(Phase.Reduce);
        state.GatherValues(collective);
    }

    /// <exception cref="RankFault">The steps so far cannot have trained anything.</exception>
    public void EpochDone() => trainability.EpochDone();

    /// <summary>
    /// Accumulates the gradients of this rank's share. What goes wrong with a sample is kept for the vote: thrown here, it would leave
    /// the peers waiting in the reduction.
    /// </summary>
    private StepWork Compute(GlobalBatch batch)
    {
        var work = new StepWork();
        clock.Enter(Phase.Data);
        work.Guard(() => work.Share = feed.Take(batch, stop));
        var weights = LossWeights.Of(spec.Loss, work.Share, batch.SampleCount, collective);
        var passes = microBatches.Cut(work.Share);
        var losses = new List<Action>();
        using var held = model.HoldValues();
        var rounds = gradients.ReducesEveryPass ? RankMessages.Largest(collective, passes.Count) : passes.Count;
        clock.Enter(Phase.Forward);
        for (var i = 0; i < rounds; i++)
        {
            Activity.Report("passes", i, rounds);
            if (i == rounds - 1) gradients.LastPass();
            if (i < passes.Count) work.Guard(() => losses.Add(Pass(work, batch.Epoch, passes[i], weights)));
            clock.Enter(Phase.Reduce);
            gradients.PassDone();
            clock.Enter(Phase.Forward);
            stop.ThrowIfCancellationRequested();
        }
        work.Guard(() => losses.ForEach(add => add())); // waits for the device, once a step
        return work;
    }

    /// <returns>Adds what the pass lost to the step's; for after the last pass, as it waits for the device.</returns>
    private Action Pass(StepWork work, int epoch, (int Start, int Count) pass, double[] weights)
    {
        using var scope = NewDisposeScope();
        EncodedSample[] samples = [.. work.Share.Skip(pass.Start).Take(pass.Count)];
        var own = weights.AsSpan(pass.Start, pass.Count).ToArray();
        var waited = gradients.WaitedSeconds;
        var loss = model.ForwardBackward(
            [.. samples.Select(sample => inputs.ForTraining(sample, epoch, stop))], [.. own.Select(weight => weight * state.Scaler.Scale)],
            gradients.UnitDone, stop);
        clock.Split([(Phase.Forward, loss.ForwardSeconds), (Phase.Reduce, gradients.WaitedSeconds - waited)], Phase.Backward);
        return () =>
        {
            for (var i = 0; i < samples.Length; i++) work.Add(samples[i], loss.Means[i], own[i]);
        };
    }

    private StepResult Result(StepTally tally, double norm, double rate, string? skipped = null) =>
        new(tally.Loss, norm, rate, state.Scaler.Scale, tally.Images, tally.Crops, tally.Tokens, skipped, tally.IsBoundary,
            tally.Stored, tally.IsOrphaned);
}
