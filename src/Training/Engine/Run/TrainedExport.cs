using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a run has trained, as others load it: a PEFT adapter, or a whole checkpoint in Hugging Face layout.</summary>
internal static class TrainedExport
{
    private const long Others = 1 << 20; // configuration, report, evaluations: far less

    /// <summary>What a run will write: known before its first step, to within a few percent of a MiB.</summary>
    /// <param name="type">Of trained values.</param>
    /// <exception cref="InputException">The checkpoint is not whole, or the method does not fit it.</exception>
    public static DiskNeed NeedOf(RunSpec spec, ScalarType type, long steps)
    {
        using var checkpoint = BaseCheckpoint.Open(spec.Model.Path);
        var plan = Catalog<ITrainingMethod>.Find(spec.Method.Kind, "method.kind").Plan(checkpoint.Used, spec.Method);
        var count = plan.Trained.Sum(t => t.Tensor.ElementCount);
        if (plan.HasAdapters) return DiskNeed.Of(spec, Others + count * sizeof(float), count, steps);
        var trained = plan.Trained.Select(t => t.Tensor.Name).ToHashSet();
        var weights = checkpoint.Files.Names.Sum(
            name => checkpoint.Files.Info(name).ElementCount * StoredType.Of(TypeOf(name)).ElementBytes);
        var copied = HfExport.Copied(spec.Model.Path).Sum(name => new FileInfo(Path.Combine(spec.Model.Path, name)).Length);
        return DiskNeed.Of(spec, Others + weights + copied, count, steps);

        ScalarType TypeOf(string name) => trained.Contains(name) ? type : checkpoint.Files.Type(name);
    }

    /// <param name="layout">Where each trained tensor lies in <paramref name="values"/>.</param>
    /// <param name="values">[layout.Count]; what was trained is stored in its type.</param>
    /// <exception cref="OperationCanceledException">Between two weights.</exception>
    public static void Save(string folder, RunSpec spec, TrainingPlan plan, FlatParameters layout, Tensor values, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        var trained = plan.Trained.Select(t => (t.Tensor.Name, Tensor: Part(t.Tensor))).ToList();
        if (plan.HasAdapters)
        {
            PeftAdapter.Save(folder, new(spec.Method.Rank, plan.AdapterScale * spec.Method.Rank)
            {
                Dropout = spec.Method.Dropout,
                UsesDora = spec.Method.Dora,
                BaseModel = spec.Model.Path,
            }, trained);
            if (spec.Model.NumCrops is { } carried) HfExport.SaveProcessor(spec.Model.Path, folder, carried);
            return;
        }
        using var source = CheckpointFolder.Open(spec.Model.Path);
        StoredTensor[] changed = [.. trained.Select(part => StoredTensor.Of(part.Name, part.Tensor))];
        HfExport.Save(source, folder, changed, stop: stop, numCrops: spec.Model.NumCrops);
        HfExport.PointToCode(folder);

        Tensor Part(TensorInfo tensor)
        {
            var slice = layout.Slice(tensor.Name);
            return values.narrow(0, slice.Offset, slice.Count).view(tensor.Shape);
        }
    }
}
