using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// The model with what a method trains of it: trained tensors are views of one flat buffer, everything else is loaded as it is.
/// </summary>
internal sealed class TrainedModel : IDisposable
{
    private readonly RunSpec _spec;
    private readonly TrainingPlan _plan;
    private readonly FrozenTensors _frozen = new();
    private Phi3VModel? _model;

    private TrainedModel(RunSpec spec, Phi3VConfig config, TrainingPlan plan)
    {
        (_spec, Config, _plan) = (spec, config, plan);
        Parameters = new FlatParameters([.. plan.Trained.Select(t => new FlatEntry(t.Tensor, t.Decays))], CPU);
    }

    public Phi3VConfig Config { get; }
    public Phi3VModel Model => _model!;
    public FlatParameters Parameters { get; }

    /// <summary>Name of the folder in the run's folder that <see cref="Export"/> writes.</summary>
    public string ExportFolder => _plan.HasAdapters ? "adapter" : "model";

    /// <exception cref="InputException">The checkpoint is not whole, or the method does not fit it.</exception>
    public static TrainedModel Load(RunSpec spec)
    {
        using var checkpoint = BaseCheckpoint.Open(spec.Model.Path);
        var plan = Catalog<ITrainingMethod>.Find(spec.Method.Kind, "method.kind").Plan(checkpoint.Used, spec.Method);
        if (plan.Trained.Count == 0) throw new InputException($"method.kind: {spec.Method.Kind} trains nothing of this model; choose another method.");
        var trained = new TrainedModel(spec, checkpoint.Config, plan);
        try
        {
            trained._model = new Phi3VModel(checkpoint.Config, trained.Fill(checkpoint));
            return trained;
        }
        catch
        {
            trained.Dispose();
            throw;
        }
    }

    /// <summary>Writes the trained weights below <paramref name="runFolder"/>: a PEFT adapter, or a whole checkpoint.</summary>
    public void Export(string runFolder)
    {
        var target = Path.Combine(runFolder, ExportFolder);
        using var scope = NewDisposeScope();
        var trained = _plan.Trained.Select(t => (t.Tensor.Name, Parameters[t.Tensor.Name].detach())).ToList();
        if (_plan.HasAdapters)
        {
            PeftAdapter.Save(target, _spec.Method.Rank, _plan.AdapterScale * _spec.Method.Rank, _spec.Model.Path, trained);
            return;
        }
        using var source = CheckpointFolder.Open(_spec.Model.Path);
        HfExport.Save(source, target, trained.ToDictionary());
    }

    public void Dispose()
    {
        _model?.Dispose();
        _frozen.Dispose();
        Parameters.Dispose();
    }

    private ModelWeights Fill(BaseCheckpoint checkpoint)
    {
        var own = _plan.Trained.Where(t => t.Role == TrainedRole.Weight).Select(t => t.Tensor.Name).ToHashSet();
        var weights = checkpoint.Fill(weight => own.Contains(weight.Name) ? Parameters[weight.Name] : _frozen.Add(weight.Shape));
        if (_plan.HasAdapters) Attach(weights);
        return weights;
    }

    private void Attach(ModelWeights weights)
    {
        var adapters = _plan.Trained.Where(t => t.Role != TrainedRole.Weight).ToList();
        if (_spec.Method.Adapter is { } folder) AdapterStart.Load(folder, adapters, Parameters);
        else AdapterStart.Draw(adapters, Parameters, _spec.Seed);
        foreach (var pair in adapters.GroupBy(t => t.Module))
        {
            var a = pair.Single(t => t.Role == TrainedRole.AdapterA).Tensor.Name;
            var b = pair.Single(t => t.Role == TrainedRole.AdapterB).Tensor.Name;
            weights.Attach(pair.Key, new LowRank(Parameters[a], Parameters[b], _plan.AdapterScale));
        }
    }
}
