using System.Diagnostics;
using System.Globalization;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>
/// A checkpoint with an adapter's updates in its weights. Each weight is read, merged in float32 and written before the next one: the model
/// is never in memory.
/// </summary>
internal static class MergeRunner
{
    private const float LargestHalf = 65504;

    /// <param name="publish">(phase, tensors written, tensors in all).</param>
    /// <exception cref="InputException">Model and adapter do not fit each other or the type, or the folder cannot be made.</exception>
    public static MergeResult Run(MergeJob job, Action<string, int, int> publish, CancellationToken stop)
    {
        var started = Stopwatch.GetTimestamp();
        using var checkpoint = BaseCheckpoint.Open(job.Model);
        using var adapter = AttachedAdapter.Open(job.Adapter!, checkpoint);
        var (files, names, type) = (checkpoint.Files, checkpoint.Files.Names, RankCompute.TypeOf(job.Dtype));
        // PEFT adapts the tower's last layer, which a checkpoint may leave out.
        var merged = adapter.Modules.Where(module => files.Contains(module + ".weight")).ToHashSet();
        var written = 0;
        var tensors = names.Select(name => new StoredTensor(files.Info(name), type, () =>
        {
            stop.ThrowIfCancellationRequested();
            publish("merging", written++, names.Count);
            return Value(name);
        })).ToList();
        var (carried, notes) = (ProcessorConfig.CropsOf(job.Adapter!), new List<string>(files.Notes));
        if (carried is { } trained && trained != ProcessorConfig.NumCrops(job.Model))
            notes.Add($"{job.Adapter} was trained with {trained} crops an image, {job.Model} says {ProcessorConfig.NumCrops(job.Model)}; "
                + $"the merged model says {trained}.");
        notes.AddRange(Fill(job.To, folder =>
        {
            HfExport.Save(files, folder, tensors, numCrops: carried);
            notes.AddRange(HfExport.PointToCode(folder).Select(note => note.Replace(folder, job.To, StringComparison.Ordinal)));
        }));
        return new(job.To, job.Dtype, tensors.Count, merged.Count, tensors.Sum(tensor => tensor.SizeBytes),
            Stopwatch.GetElapsedTime(started).TotalSeconds)
        { Notes = notes };

        Tensor Value(string name)
        {
            var value = empty(files.Info(name).Shape, ScalarType.Float32);
            files.CopyTo(name, value);
            var module = WeightRules.ModuleOf(name);
            if (merged.Contains(module)) adapter.Read(module, shape => empty(shape, ScalarType.Float32)).MergeInto(value);
            Check(name, linalg.vector_norm(value, double.PositiveInfinity).item<float>(), merged.Contains(module), type);
            return value;
        }
    }

    private static void Check(string name, float largest, bool isMerged, ScalarType type)
    {
        var got = largest.ToString(CultureInfo.InvariantCulture);
        if (isMerged && !float.IsFinite(largest))
            throw new InputException($"--adapter: {name} is not finite once merged, got {got}; "
                + "its training diverged, use an earlier adapter.");
        if (type == ScalarType.Float16 && largest > LargestHalf)
            throw new InputException($"--dtype: fp16 ends at {LargestHalf} and {name} goes to {got}, got fp16; choose bf16 or fp32.");
    }

    /// <returns>What was found of an earlier merge.</returns>
    private static IReadOnlyList<string> Fill(string folder, Action<string> fill)
    {
        try
        {
            return AtomicFolder.Fill(folder, fill);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"--to: cannot be written ({error.Message}), got {folder}; "
                + "free space there or choose another folder.");
        }
    }
}
