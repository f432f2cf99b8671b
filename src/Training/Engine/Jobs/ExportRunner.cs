using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>What a run had trained at a checkpoint, as it would have exported it then. The model is never in memory.</summary>
internal static class ExportRunner
{
    /// <param name="publish">(phase, done, in all).</param>
    /// <exception cref="InputException">
    /// No such checkpoint, or the model it was trained on is gone, or the folder cannot be made.
    /// </exception>
    public static ExportResult Run(ExportJob job, Action<string, int, int> publish, CancellationToken stop)
    {
        var (started, notes) = (Stopwatch.GetTimestamp(), new List<string>());
        publish("reading the checkpoint", 0, 0);
        var store = new FolderStore(job.Run);
        using var stored = (job.Step is { } step ? store.OfStep(step, notes.Add) : store.Newest(notes.Add))
            ?? throw new InputException(
                [.. notes, $"RUN: has no checkpoint, got {job.Run}; see `phi3v checkpoints {Path.GetFileName(job.Run)}`."]);
        var spec = RunSpecJson.FromText(stored.Manifest.Spec);
        using var checkpoint = BaseCheckpoint.Open(spec.Model.Path);
        var plan = Catalog<ITrainingMethod>.Find(spec.Method.Kind, "method.kind").Plan(checkpoint.Used, spec.Method);
        using var layout = new FlatParameters([.. plan.Trained.Select(t => new FlatEntry(t.Tensor, t.Decays))], CPU);
        if (layout.Count != stored.Manifest.Elements)
            throw new InputException($"{stored.Folder}: has {stored.Manifest.Elements} trained parameters, {spec.Model.Path} with method "
                + $"{spec.Method.Kind} has {layout.Count}; put the model that it was trained on there.");
        stop.ThrowIfCancellationRequested();

        publish("writing", 0, 0);
        using var scope = NewDisposeScope();
        using (no_grad())
            stored.Read(shard => layout.Values.narrow(0, shard.Flat.Offset, shard.Flat.Count).copy_(shard.Masters));
        var values = plan.HasAdapters ? layout.Values : layout.Values.to(RankCompute.TypeOf(spec.Precision));
        notes.AddRange(AtomicFolder.Fill(job.To, folder => TrainedExport.Save(folder, spec, plan, layout, values, stop)));
        return new(job.To, stored.Manifest.Run, stored.Manifest.Step, plan.HasAdapters ? "adapter" : "model", plan.Trained.Count,
            Stopwatch.GetElapsedTime(started).TotalSeconds)
        { Notes = notes };
    }
}
