using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Engine;

/// <summary>Puts a rank's run together: the one place that sees all of Training's folders.</summary>
internal static class TrainerBuilder
{
    /// <exception cref="InputException">The checkpoint or the data do not fit the spec.</exception>
    public static Trainer Build(RunSpec spec, ICollective collective, string outputFolder, CancellationToken stop)
    {
        var owned = new Stack<IDisposable>();
        T Own<T>(T part) where T : IDisposable
        {
            owned.Push(part);
            return part;
        }
        try
        {
            var metrics = new RankMetrics(Path.GetFileName(outputFolder), spec, collective.Rank, collective.WorldSize, device: "cpu");
            var clock = new PhaseClock(metrics);
            clock.Enter(Phase.Restore);
            var model = Own(TrainedModel.Load(spec));
            var tokenizer = Tokenizer.Load(spec.Model.Path);
            var encoder = new SampleEncoder(tokenizer, spec.Model.NumCrops, model.Config.MaxPositions);
            var training = Own(RunData.OpenTraining(spec.Data, stop));
            var evaluation = RunData.OpenEvaluation(spec.Data, stop) is { } held ? Own(held) : null;
            var order = new SampleOrder(training.Count, spec.Batch.Global, spec.Seed, spec.Data.Shuffle);
            var schedule = Catalog<ILearningRateSchedule>.Find(spec.Optimizer.Schedule, "optimizer.schedule");
            var optimizer = Own(new AdamW(model.Parameters, model.Parameters.Shard(collective.Rank, collective.WorldSize), spec.Optimizer));
            var feed = Own(new SampleFeed(order, spec.Epochs, collective.Rank, collective.WorldSize, Encoding(spec, training, encoder)));
            var step = new TrainingStep(model.Model, feed, model.Parameters, optimizer, schedule, collective, spec.Optimizer, clock);
            var folder = Own(new RunFolder(outputFolder, writes: collective.Rank == 0));
            folder.WriteSkippedRows([.. training.SkippedRows, .. evaluation?.SkippedRows ?? []]);
            clock.Enter(Phase.Idle);
            return new Trainer(spec, new TrainerParts
            {
                Collective = collective,
                Training = training,
                Order = order,
                Parameters = model.Parameters,
                Step = step,
                Evaluator = evaluation is null ? null : new Evaluator(model.Model, tokenizer, encoder, evaluation, collective, spec.Evaluation),
                Folder = folder,
                Clock = clock,
                Metrics = metrics,
                Export = () => { if (collective.Rank == 0) model.Export(outputFolder); },
                ExportFolder = model.ExportFolder,
                Owned = [.. owned],
            }, stop);
        }
        catch
        {
            while (owned.TryPop(out var part)) part.Dispose();
            throw;
        }
    }

    private static Func<int, int, EncodedSample> Encoding(RunSpec spec, IDatasetReader data, SampleEncoder encoder) => (epoch, index) =>
    {
        var sample = data.Read(index);
        if (spec.Data.ShuffleTurns) sample = TurnOrder.Shuffle(sample, spec.Seed, epoch);
        return encoder.EncodeForTraining(sample, spec.Seed, epoch);
    };
}
