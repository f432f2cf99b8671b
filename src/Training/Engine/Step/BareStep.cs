using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Optim;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// A rank's step as a run has it, on encoded samples, without the run: no data, evaluation, checkpoints or files. What measures a step
/// takes this, so that it measures the one that trains.
/// </summary>
internal sealed class BareStep : IDisposable
{
    private readonly int _samples, _steps;
    private readonly Stack<IDisposable> _owned = [];
    private readonly TrainingStep _step;
    private int _done;

    /// <param name="spec">Its epochs are the most steps that there can be.</param>
    /// <param name="model">On the device of <paramref name="compute"/>; must outlive the step.</param>
    /// <param name="samples">All of them are every step's global batch.</param>
    /// <param name="features">What is kept of a frozen vision model's output; null keeps nothing.</param>
    /// <param name="store">Gradients of a layout; null for the run's own.</param>
    /// <param name="wantsBoundary">See <see cref="StepResult.IsBoundary"/>; null never does.</param>
    public BareStep(
        RunSpec spec, RankCompute compute, TrainedModel model, IReadOnlyList<EncodedSample> samples, ICollective collective,
        FeatureCache? features = null, Func<ShardLayout, GradientStore>? store = null, Func<bool>? wantsBoundary = null,
        CancellationToken stop = default)
    {
        (_samples, _steps) = (samples.Count, spec.Epochs);
        var state = Own(new TrainingState(spec, model.Plan, model.Parameters, StepPlan.Of(spec, samples.Count)));
        var layout = GenerationBuilder.LayoutOf(spec, state, collective.Rank, collective.WorldSize);
        state.Own(layout);
        var order = new SampleOrder(samples.Count, samples.Count, spec.Seed, shuffle: false);
        var feed = Own(new SampleFeed(order, spec.Epochs, collective.Rank, collective.WorldSize, (_, index) => samples[index]));
        var gradients = Own(store?.Invoke(layout) ?? GenerationBuilder.StoreGradients(spec, state, layout, collective));
        var optimizer = Own(new AdamW(model.Parameters, gradients, state.Optimizer, spec.Optimizer));
        var folder = Own(new RunFolder(Path.GetTempPath(), writes: false));
        _step = new(
            model.Model, feed, new ModelInputs(model.Model, compute, features), new MicroBatches(spec.Batch), state, gradients, optimizer,
            Catalog<ILearningRateSchedule>.Find(spec.Optimizer.Schedule, "optimizer.schedule"),
            new Trainability(model.Plan, model.Parameters, gradients, state, state.IsSharded ? collective : null, folder),
            new StepObjections(collective, state, spec.Optimizer), collective, spec.Optimizer, Clock, wantsBoundary ?? (() => false), stop);
    }

    public PhaseClock Clock { get; } = new();

    /// <summary>One step, and what a sharded state exchanges after it.</summary>
    /// <inheritdoc cref="TrainingStep.Run"/>
    public StepResult Run()
    {
        var result = _step.Run(new(Epoch: _done, Index: 0, _samples), ++_done, _steps);
        if (result.Skipped is null) _step.ShareValues();
        return result;
    }

    public void Dispose()
    {
        while (_owned.TryPop(out var part)) part.Dispose();
    }

    private T Own<T>(T part) where T : IDisposable
    {
        _owned.Push(part);
        return part;
    }
}
