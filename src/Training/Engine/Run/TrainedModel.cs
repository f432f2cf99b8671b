using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Model.Quantization;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// The model with what a method trains of it: trained tensors are views of one flat buffer, everything else is loaded as it is.
/// </summary>
internal sealed class TrainedModel : IDisposable
{
    private readonly RunSpec _spec;
    private readonly FrozenTensors _frozen;
    private readonly ScalarType _type;
    private readonly ModelWeights _weights = new();
    private Phi3VModel? _model;

    private TrainedModel(RunSpec spec, Phi3VConfig config, TrainingPlan plan, RankCompute compute)
    {
        (_spec, Config, Plan, _type) = (spec, config, plan, compute.Type);
        _frozen = new(compute.Device, compute.Type);
        Parameters = new FlatParameters([.. plan.Trained.Select(Entry)], compute.Device, compute.Type);
    }

    public Phi3VConfig Config { get; }
    public TrainingPlan Plan { get; }
    public Phi3VModel Model => _model!;
    public FlatParameters Parameters { get; }
    public required PrecisionPlan Precision { get; init; }

    /// <summary>Bytes of all that it computes with, trained or not.</summary>
    public long WeightBytes => _frozen.SizeBytes + Parameters.Values.numel() * Parameters.Values.ElementSize;

    /// <summary>Sentences about what was found in the folders it was loaded from.</summary>
    public required IReadOnlyList<string> Notes { get; init; }

    /// <summary>Name of the folder in the run's folder that <see cref="Export"/> writes.</summary>
    public string ExportFolder => Plan.HasAdapters ? "adapter" : "model";

    /// <exception cref="InputException">The checkpoint is not whole, or the method does not fit it.</exception>
    /// <exception cref="OperationCanceledException">Between two weights.</exception>
    public static TrainedModel Load(RunSpec spec, RankCompute compute, CancellationToken stop = default)
    {
        using var checkpoint = BaseCheckpoint.Open(spec.Model.Path);
        return Load(spec, compute, checkpoint, stop);
    }

    /// <summary>As <see cref="Load(RunSpec, RankCompute, CancellationToken)"/>, of weights from elsewhere.</summary>
    internal static TrainedModel Load(RunSpec spec, RankCompute compute, IBaseWeights checkpoint, CancellationToken stop = default)
    {
        var plan = Catalog<ITrainingMethod>.Find(spec.Method.Kind, "method.kind").Plan(checkpoint.Used, spec.Method);
        if (plan.Trained.Count == 0)
            throw new InputException($"method.kind: {spec.Method.Kind} trains nothing of this model; choose another method.");
        var trained = new TrainedModel(spec, checkpoint.Config, plan, compute)
        {
            Precision = PrecisionPlan.Of(checkpoint.Used, plan, spec),
            Notes = [.. (checkpoint as BaseCheckpoint)?.Files.Notes ?? [], .. CropsOfAdapter(spec)],
        };
        try
        {
            trained._model = new Phi3VModel(checkpoint.Config, trained.Fill(checkpoint, stop), compute.Model);
            return trained;
        }
        catch
        {
            trained.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes the trained weights below <paramref name="runFolder"/>: a PEFT adapter, or a whole checkpoint. Both say how many crops an
    /// image was cut into. The folder is there whole or not at all.
    /// </summary>
    /// <param name="values">[Parameters.Count]; what was trained is stored in its type.</param>
    /// <exception cref="OperationCanceledException">Between two weights; nothing is left behind.</exception>
    public void Export(string runFolder, Tensor values, CancellationToken stop = default) => AtomicFolder.Replace(
        Path.Combine(runFolder, ExportFolder), folder => TrainedExport.Save(folder, _spec, Plan, Parameters, values, stop));

    /// <summary>Brings what is trained back to what it was when the model was loaded.</summary>
    public void Reset()
    {
        if (Plan.HasAdapters)
        {
            AdapterStart.Fill(Plan, Parameters, _weights, _spec);
            return;
        }
        using var checkpoint = BaseCheckpoint.Open(_spec.Model.Path);
        var trained = Plan.Trained.Select(t => t.Tensor.Name).ToHashSet();
        foreach (var weight in checkpoint.Used.Where(weight => trained.Contains(weight.Name)))
            checkpoint.Read(weight, Parameters[weight.Name]);
    }

    public void Dispose()
    {
        _model?.Dispose();
        _frozen.Dispose();
        Parameters.Dispose();
    }

    private static IEnumerable<string> CropsOfAdapter(RunSpec spec)
    {
        if (spec.Method.Adapter is { } folder && ProcessorConfig.CropsOf(folder) is { } before && before != spec.Model.NumCrops)
            yield return $"method.adapter: {folder} was trained with {before} crops an image, this run uses {spec.Model.NumCrops}; "
                + $"model.numCrops={before} goes on as it was.";
    }

    private FlatEntry Entry(TrainedTensor trained) => new(trained.Tensor, trained.Decays)
    {
        Unit = Phi3VWeights.UnitOf(trained.Tensor.Name),
        NeedsImages = trained.Part is ModelPart.VisionTower or ModelPart.Projector,
        RateFactor = RateOf(trained.Part) is { } rate ? rate / _spec.Optimizer.LearningRate : 1,
    };

    private double? RateOf(ModelPart part) => part switch
    {
        ModelPart.VisionTower => _spec.Optimizer.LearningRates.VisionTower,
        ModelPart.Projector => _spec.Optimizer.LearningRates.Projector,
        _ => _spec.Optimizer.LearningRates.LanguageModel,
    };

    private ModelWeights Fill(IBaseWeights checkpoint, CancellationToken stop)
    {
        var own = Plan.Trained.Where(t => t.Role == TrainedRole.Weight).Select(t => t.Tensor.Name).ToHashSet();
        foreach (var weight in checkpoint.Used)
        {
            stop.ThrowIfCancellationRequested();
            if (Plan.InFourBits.Contains(weight.Name))
                _weights.Quantize(weight.Name, InFourBits(checkpoint, weight), _type, place => _frozen.Own(place));
            else
                _weights[weight.Name] = checkpoint.Read(
                    weight, own.Contains(weight.Name) ? Parameters[weight.Name] : _frozen.Add(weight.Shape));
        }
        if (!Plan.HasAdapters) return _weights;
        AdapterStart.Fill(Plan, Parameters, _weights, _spec);
        AdapterStart.Attach(Plan, Parameters, _weights, _spec);
        return _weights;
    }

    private Nf4Tensor InFourBits(IBaseWeights checkpoint, TensorInfo weight)
    {
        using var scope = NewDisposeScope();
        var whole = checkpoint.Read(weight, empty(weight.Shape, ScalarType.Float32));
        return _frozen.Own(Nf4Tensor.Quantize(whole, _spec.Method.DoubleQuantization, Parameters.Values.device));
    }
}
