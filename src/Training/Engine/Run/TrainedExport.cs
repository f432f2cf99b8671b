using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>What a run has trained, as others load it: a PEFT adapter, or a whole checkpoint in Hugging Face layout.</summary>
internal static class TrainedExport
{
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
