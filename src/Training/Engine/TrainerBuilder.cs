using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Processing;
using TorchSharp;

namespace Phi3VCluster.Training.Engine;

/// <summary>Puts a rank's run together: the one place that sees all of Training's folders.</summary>
internal static class TrainerBuilder
{
    /// <summary>Letter pages for a rank of an eight-GPU node at several times its speed.</summary>
    private const int MostReaders = 4;

    /// <exception cref="InputException">The checkpoint or the data do not fit the spec.</exception>
    /// <param name="node">As metrics name it.</param>
    public static Trainer Build(
        RunSpec spec, RankCompute compute, ICollective collective, string outputFolder, string node, CancellationToken stop)
    {
        var owned = new Stack<IDisposable>();
        T Own<T>(T part) where T : IDisposable
        {
            owned.Push(part);
            return part;
        }
        try
        {
            var device = compute.Device.type == DeviceType.CPU ? "cpu" : $"cuda {Cuda.Name(compute.Device.index)}";
            var metrics = new RankMetrics(Path.GetFileName(outputFolder), spec, collective.Rank, collective.WorldSize, device, node);
            var clock = new PhaseClock(metrics);
            clock.Enter(Phase.Restore);
            RunPrecision.RequireAgreement(spec, collective);
            var crops = spec.Model.NumCrops ?? ProcessorConfig.NumCrops(spec.Model.Path);
            spec = spec with { Model = spec.Model with { NumCrops = crops } }; // what run.yaml says, and the export carries
            var tokenizer = Tokenizer.Load(spec.Model.Path);
            var maxTokens = Phi3VConfig.Read(spec.Model.Path).MaxPositions;
            var encoder = new SampleEncoder(tokenizer, crops, maxTokens);
            var skips = spec.Data.OnBadSample == "skip"; // a corrupt image can only be left out when it is known at the start
            var check = SampleCheck.Of(spec.Model.Path, tokenizer, crops, maxTokens, decodes: skips);
            var training = Own(RunData.OpenTraining(spec.Data, stop, check, spec.Seed));
            var evaluation = RunData.OpenEvaluation(spec.Data, stop, check, spec.Seed) is { } held ? Own(held) : null;
            if (evaluation is null && spec.Evaluation.EverySteps is { } steps)
                throw new InputException($"evaluation.everySteps: no samples are held out, got {steps}; name some in data.eval or data.evalRows, or leave it out.");
            DataNotes.RequireARate(spec, StepPlan.Of(spec, training.Count));
            if (collective.Rank == 0) ExportRoom.Require(spec, compute.Type, outputFolder);
            var model = Own(TrainedModel.Load(spec, compute, stop)); // after the data: what is wrong with those shows within seconds
            var order = new SampleOrder(training.Count, spec.Batch.Global, spec.Seed, spec.Data.Shuffle);
            var readers = spec.Data.Workers ?? Math.Clamp(torch.get_num_threads() - 1, 1, MostReaders);
            var feed = Own(new SampleFeed(order, spec.Epochs, collective.Rank, collective.WorldSize, Encoding(spec, training, encoder), readers));
            var features = model.Model.VisionIsTrained ? null : FeatureCache.Open(outputFolder, spec.Data.CacheFeatures);
            if (features is not null) Own(features);
            var inputs = new ModelInputs(model.Model, compute, features, spec.Method.Dropout > 0 ? spec.Seed : null);
            var gradients = Own(StoreGradients(spec, model.Parameters, collective));
            var optimizer = Own(new AdamW(model.Parameters, gradients, spec.Optimizer));
            var folder = Own(new RunFolder(outputFolder, writes: collective.Rank == 0));
            var scaler = spec.Precision == "fp16" ? LossScaler.Dynamic() : LossScaler.None();
            var step = new TrainingStep(
                model.Model, feed, inputs, new MicroBatches(spec.Batch.Micro), model.Parameters, gradients, optimizer,
                Catalog<ILearningRateSchedule>.Find(spec.Optimizer.Schedule, "optimizer.schedule"), scaler,
                new Trainability(model.Plan, model.Parameters, gradients, collective, folder),
                new StepObjections(collective, scaler, spec.Optimizer), collective, spec.Optimizer, clock, stop);
            folder.WriteSkippedRows([.. training.SkippedRows, .. evaluation?.SkippedRows ?? []]);
            clock.Enter(Phase.Idle);
            return new Trainer(spec, new TrainerParts
            {
                Collective = collective,
                Training = training,
                Order = order,
                Model = model,
                Optimizer = optimizer,
                Step = step,
                Evaluator = evaluation is null ? null : new(Scorer(spec, model, inputs, tokenizer, encoder, readers), evaluation, collective, spec.Evaluation.Metric),
                Folder = folder,
                Clock = clock,
                Device = device,
                Notes = [.. DataNotes.Lines(spec, training, evaluation, model.Model.VisionIsTrained)],
                Metrics = metrics,
                Owned = [.. owned],
            }, stop);
        }
        catch
        {
            while (owned.TryPop(out var part)) part.Dispose();
            throw;
        }
    }

    private static SampleScorer Scorer(RunSpec spec, TrainedModel model, ModelInputs inputs, Tokenizer tokenizer, SampleEncoder encoder, int readers) => new(
        model.Model, inputs, new Answerer(model.Model, tokenizer), encoder, measuresLoss: true,
        spec.Evaluation.Metric == EvaluationSpec.Loss ? [] : [Catalog<IMetric>.Find(spec.Evaluation.Metric, "evaluation.metric")],
        spec.Evaluation.MaxNewTokens, readers);

    private static GradientStore StoreGradients(RunSpec spec, FlatParameters parameters, ICollective collective)
    {
        var (rank, worldSize) = (collective.Rank, collective.WorldSize);
        if (spec.Batch.ReduceEvery == "step")
            return new WholeGradients(parameters, ShardLayout.Whole(parameters.Count, rank, worldSize), collective.ReduceScatter);
        var units = parameters.Units().Select(unit => unit.Range);
        return new ScatteredGradients(parameters, new([.. units], rank, worldSize), collective.ReduceScatter);
    }

    private static Func<int, int, EncodedSample> Encoding(RunSpec spec, IDatasetReader data, SampleEncoder encoder) => (epoch, index) =>
    {
        var sample = data.Read(index);
        if (spec.Data.ShuffleTurns) sample = TurnOrder.Shuffle(sample, spec.Seed, epoch);
        return encoder.EncodeForTraining(sample, spec.Seed, epoch);
    };
}
