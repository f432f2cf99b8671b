using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Optim;

namespace Phi3VCluster.Training.Engine;

/// <summary>Puts a rank's work in a generation together, on the run's home: the one place that sees all of Training's folders.</summary>
internal static class GenerationBuilder
{
    /// <param name="source">The rank whose state all adopt.</param>
    /// <param name="cause">Why the generation was formed.</param>
    /// <exception cref="RankFault">The ranks do not belong together.</exception>
    /// <exception cref="InputException">The run would begin anew over checkpoints that cannot be read.</exception>
    /// <exception cref="CollectiveException">A peer is gone.</exception>
    public static GenerationParts Build(RunHome home, ICollective collective, int source, string cause, CancellationToken stop)
    {
        var owned = new Stack<IDisposable>();
        T Own<T>(T part) where T : IDisposable
        {
            owned.Push(part);
            return part;
        }
        try
        {
            var (spec, model) = (home.Spec, home.Model);
            home.Clock.Enter(Phase.Restore);
            var layout = LayoutOf(home, collective);
            var before = home.State.Records.ToList();
            new StateExchange(home, collective, source, layout).Run();
            var state = home.State;
            if (state.Position.Step == 0) home.RequireNothingToGoOnFrom();
            home.Metrics.Undo(before.Where(step => step.Step > state.Position.Step).Sum(step => step.Seconds));
            state.Begin(new(collective.Generation, collective.WorldSize, cause, state.Position.Step + 1, DateTime.UtcNow,
                Stopwatch.GetElapsedTime(home.TrainedAt).TotalSeconds));

            var feed = Own(new SampleFeed(home.Order, spec.Epochs, collective.Rank, collective.WorldSize, Encoding(home), home.Readers,
                first: state.Position.Step));
            var gradients = Own(StoreGradients(home, layout, collective));
            var optimizer = Own(new AdamW(model.Parameters, gradients, state.Optimizer, spec.Optimizer));
            var folder = Own(new RunFolder(home.Output, writes: collective.Rank == 0));
            var trainability = new Trainability(
                model.Plan, model.Parameters, gradients, state, state.IsSharded ? collective : null, folder);
            var step = new TrainingStep(
                model.Model, feed, home.Inputs, new MicroBatches(spec.Batch.Micro), state, gradients, optimizer,
                Catalog<ILearningRateSchedule>.Find(spec.Optimizer.Schedule, "optimizer.schedule"), trainability,
                new StepObjections(collective, state, spec.Optimizer), collective, spec.Optimizer, home.Clock,
                () => home.PartingGeneration == collective.Generation || home.Coordinator.IsSilent, stop);
            folder.WriteSkippedRows([.. home.Training.SkippedRows, .. home.Evaluation?.SkippedRows ?? []]);
            folder.BeginSteps(state.Records, collective.Generation);
            var checkpoints = new GenerationCheckpoints(home, collective);
            var metrics = new GenerationMetrics(home, collective);
            home.Clock.Enter(Phase.Idle);
            return new GenerationParts
            {
                Collective = collective,
                Step = step,
                Evaluator = home.Evaluation is { } held ? new(Scorer(home), held, collective, spec.Evaluation.Metric) : null,
                Folder = folder,
                Checkpoints = checkpoints,
                Replicas = new(home, collective),
                Metrics = metrics,
                Owned = [.. owned],
            };
        }
        catch
        {
            while (owned.TryPop(out var part)) part.Dispose();
            throw;
        }
    }

    private static SampleScorer Scorer(RunHome home) => new(
        home.Model.Model, home.Inputs, new Answerer(home.Model.Model, home.Tokenizer), home.Encoder, measuresLoss: true,
        home.Spec.Evaluation.Metric == EvaluationSpec.Loss ? [] : [Catalog<IMetric>.Find(home.Spec.Evaluation.Metric, "evaluation.metric")],
        home.Spec.Evaluation.MaxNewTokens, home.Readers);

    /// <summary>What of the optimizer's state this rank owns.</summary>
    private static ShardLayout LayoutOf(RunHome home, ICollective collective)
    {
        var (parameters, rank, worldSize) = (home.Model.Parameters, collective.Rank, collective.WorldSize);
        if (!home.State.IsSharded) return ShardLayout.Replicated(parameters.Count);
        return home.Spec.Batch.ReduceEvery == "step"
            ? ShardLayout.Whole(parameters.Count, rank, worldSize)
            : new([.. parameters.Units().Select(unit => unit.Range)], rank, worldSize);
    }

    private static GradientStore StoreGradients(RunHome home, ShardLayout layout, ICollective collective)
    {
        var parameters = home.Model.Parameters;
        if (!home.State.IsSharded)
            return WholeGradients.Replicated(parameters, collective.Rank, collective.WorldSize, collective.AllReduce);
        return home.Spec.Batch.ReduceEvery == "step"
            ? WholeGradients.Sharded(parameters, layout, collective.ReduceScatter)
            : new ScatteredGradients(parameters, layout, collective.ReduceScatter);
    }

    private static Func<int, int, EncodedSample> Encoding(RunHome home) => (epoch, index) =>
    {
        var sample = home.Training.Read(index);
        if (home.Spec.Data.ShuffleTurns) sample = TurnOrder.Shuffle(sample, home.Spec.Seed, epoch);
        return home.Encoder.EncodeForTraining(sample, home.Spec.Seed, epoch);
    };
}
