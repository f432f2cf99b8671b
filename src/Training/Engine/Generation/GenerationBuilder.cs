using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>Puts a rank's work in a generation together, on the run's home: the one place that sees all of Training's folders.</summary>
internal static class GenerationBuilder
{
    /// <param name="source">The rank whose state all adopt.</param>
    /// <param name="cause">Why the generation was formed.</param>
    /// <param name="shards">Where a sharded state is that all go on from instead; null where it is the source's.</param>
    /// <exception cref="RankFault">The ranks do not belong together.</exception>
    /// <exception cref="InputException">The run would begin anew over checkpoints that cannot be read.</exception>
    /// <exception cref="CollectiveException">A peer is gone.</exception>
    public static GenerationParts Build(
        RunHome home, ICollective collective, int source, string cause, ShardPlan? shards, CancellationToken stop)
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
            var layout = LayoutOf(home.Spec, home.State, collective.Rank, collective.WorldSize);
            var before = home.State.Records.ToList();
            new StateExchange(home, collective, source, layout).Run(shards, stop);
            home.Shards?.Join(collective, shards?.Version);
            var state = home.State;
            if (state.Position.Step == 0) home.RequireNothingToGoOnFrom();
            var undone = before.Where(step => step.Step > state.Position.Step).ToList();
            home.Metrics.Undo(undone.Sum(step => step.Seconds));
            var nodes = GenerationMetrics.CountNodes(home, collective);
            state.Begin(new(collective.Generation, collective.WorldSize, cause, state.Position.Step + 1, DateTime.UtcNow,
                Stopwatch.GetElapsedTime(home.TrainedAt).TotalSeconds, RankMessages.Largest(collective, undone.Count), nodes));

            var feed = Own(new SampleFeed(home.Order, spec.Epochs, collective.Rank, collective.WorldSize, Encoding(home), home.Readers,
                first: state.Position.Step));
            var gradients = Own(StoreGradients(spec, state, layout, collective));
            var optimizer = Own(new AdamW(model.Parameters, gradients, state.Optimizer, spec.Optimizer));
            var folder = Own(new RunFolder(home.Output, writes: collective.Rank == 0));
            var trainability = new Trainability(
                model.Plan, model.Parameters, gradients, state, state.IsSharded ? collective : null, folder);
            var snapshots = new GenerationSnapshots(home, collective, layout.OwnCount);
            var step = new TrainingStep(
                model.Model, feed, home.Inputs, new MicroBatches(spec.Batch), state, gradients, optimizer,
                Catalog<ILearningRateSchedule>.Find(spec.Optimizer.Schedule, "optimizer.schedule"), trainability,
                new StepObjections(collective, state, spec.Optimizer), collective, spec.Optimizer, home.Clock,
                () => home.PartingGeneration == collective.Generation || home.Coordinator.IsSilent, stop,
                () => snapshots.IsStored, () => home.Coordinator.IsSilent);
            var checkpoints = new GenerationCheckpoints(home, collective);
            var metrics = new GenerationMetrics(home, collective, nodes);
            home.Clock.Enter(Phase.Idle);
            return new GenerationParts
            {
                Collective = collective,
                Step = step,
                Evaluator = home.Evaluation is { } held ? new(Scorer(home), held, collective, spec.Evaluation.Metric) : null,
                Folder = folder,
                Checkpoints = checkpoints,
                Snapshots = snapshots,
                Replicas = new(home, collective),
                Metrics = metrics,
                GradientBytes = gradients.SizeBytes,
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

    /// <summary>What of the optimizer's state a rank owns, of so many.</summary>
    internal static ShardLayout LayoutOf(RunSpec spec, TrainingState state, int rank, int worldSize)
    {
        var parameters = state.Parameters;
        if (!state.IsSharded) return ShardLayout.Replicated(parameters.Count);
        if (spec.Batch.ReduceEvery == "micro") return new([.. parameters.Units().Select(unit => unit.Range)], rank, worldSize);
        return worldSize == 1
            ? ShardLayout.Whole(parameters.Count, rank, worldSize)
            : new(parameters.Buckets(WholeGradients.LeastBucket), rank, worldSize);
    }

    internal static GradientStore StoreGradients(RunSpec spec, TrainingState state, ShardLayout layout, ICollective collective)
    {
        var (parameters, half) = (state.Parameters, collective.WorldSize == 1 ? null : HalfOf(spec.Batch.GradientType));
        if (!state.IsSharded)
            return WholeGradients.Replicated(parameters, collective.Rank, collective.WorldSize, collective.BeginAllReduce, half);
        return spec.Batch.ReduceEvery == "step"
            ? WholeGradients.Sharded(parameters, layout, collective.BeginReduceScatter, half)
            : new ScatteredGradients(parameters, layout, collective.BeginReduceScatter, half);
    }

    private static ScalarType? HalfOf(string gradientType) => gradientType == "fp32" ? null : RankCompute.TypeOf(gradientType);

    private static Func<int, int, EncodedSample> Encoding(RunHome home) => (epoch, index) =>
    {
        var sample = home.Training.Read(index);
        if (home.Spec.Data.ShuffleTurns) sample = TurnOrder.Shuffle(sample, home.Spec.Seed, epoch);
        return home.Encoder.EncodeForTraining(sample, home.Spec.Seed, epoch);
    };
}
