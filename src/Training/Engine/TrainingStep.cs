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
    Phi3VModel model, SampleFeed feed, FlatParameters parameters, AdamW optimizer, ILearningRateSchedule schedule, ICollective collective,
    OptimizerSpec spec, PhaseClock clock)
{
    /// <param name="batch">Which global batch: its epoch, its place there, its size over all ranks.</param>
    /// <param name="step">From 1, over the whole run.</param>
    /// <exception cref="RankFault">A rank objected: the step is committed nowhere.</exception>
    /// <exception cref="CollectiveException">A peer is gone or the run was aborted.</exception>
    public StepResult Run(GlobalBatch batch, long step, long totalSteps)
    {
        using var scope = NewDisposeScope(); // every tensor of the step dies with it
        parameters.ZeroGradients();
        var work = Compute(batch); // this rank's share: forward, backward, gradients accumulated

        clock.Enter(Phase.Reduce);
        collective.ReduceScatter(parameters.Gradients); // sums: each loss is already divided by the global batch
        var shard = parameters.Shard(collective.Rank, collective.WorldSize);
        var vote = StepTally.Exchange(collective, work, GradientNorm.SquareSum(parameters.Gradients, shard));
        if (vote.Objectors.Count > 0) throw Refused(step, vote, work);

        clock.Enter(Phase.Optimizer);
        var norm = Math.Sqrt(vote.GradientSquares);
        GradientNorm.Clip(parameters.Gradients, shard, spec.MaxGradNorm, norm);
        var rate = schedule.RateAt(step, totalSteps, spec.WarmupSteps, spec.LearningRate);
        optimizer.Step(rate);

        clock.Enter(Phase.Reduce);
        collective.AllGather(parameters.Values);
        return new(vote.Loss, norm, rate, vote.Images, vote.Tokens);
    }

    /// <summary>
    /// Accumulates the gradients of this rank's share. What goes wrong with a sample is kept for the vote: thrown here, it would leave
    /// the peers waiting in the reduction.
    /// </summary>
    private StepWork Compute(GlobalBatch batch)
    {
        var work = new StepWork();
        clock.Enter(Phase.Data);
        work.Guard(() => work.Share = feed.Take(batch));
        var weights = LossWeights.Of(spec.Loss, work.Share, batch.SampleCount, collective);
        clock.Enter(Phase.Forward);
        work.Guard(() =>
        {
            for (var i = 0; i < work.Share.Count; i++)
            {
                using var scope = NewDisposeScope();
                var loss = model.ForwardBackward(ModelInputs.From(work.Share[i], CPU), weights[i]);
                work.Loss += loss.Mean * weights[i];
                clock.Split(Phase.Forward, loss.ForwardSeconds, Phase.Backward);
            }
        });
        return work;
    }

    private RankFault Refused(long step, StepTally vote, StepWork work)
    {
        if (!vote.Objectors.Contains(collective.Rank))
            return new($"step {step} was refused by rank {string.Join(", ", vote.Objectors)}.");
        var samples = string.Join(", ", work.Share.Select(s => s.Id));
        return work.Fault is { } fault
            ? new($"step {step}, rank {collective.Rank}: {fault.Message}", fault)
            : new($"step {step}, rank {collective.Rank}: the loss or the gradient of samples {samples} is not finite; lower optimizer.learningRate or look at these samples.");
    }
}

/// <summary>The samples of one optimizer step over all ranks.</summary>
/// <param name="Epoch">From 0.</param>
/// <param name="Index">Place in the epoch, from 0.</param>
internal readonly record struct GlobalBatch(int Epoch, int Index, int SampleCount);

/// <param name="Loss">Mean over the global batch.</param>
/// <param name="GradNorm">Global norm before clipping.</param>
internal readonly record struct StepResult(double Loss, double GradNorm, double LearningRate, long Images, long Tokens);
