using System.Globalization;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Methods;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Whether the disk has room for what a run will export: its size is known before the first step, and a full disk costs all of them.
/// </summary>
internal static class ExportRoom
{
    private const long Others = 1 << 20; // configuration, report, evaluations: far less

    /// <param name="type">Of trained values.</param>
    /// <exception cref="InputException">It has not; or the checkpoint is not whole, or the method does not fit it.</exception>
    public static void Require(RunSpec spec, ScalarType type, string outputFolder)
    {
        if (Problem(BytesOf(spec, type), FreeBytes(outputFolder), outputFolder) is { } problem) throw new InputException(problem);
    }

    /// <summary>What the export of a run will take, to within a few percent of a MiB.</summary>
    public static long BytesOf(RunSpec spec, ScalarType type)
    {
        using var checkpoint = BaseCheckpoint.Open(spec.Model.Path);
        var plan = Catalog<ITrainingMethod>.Find(spec.Method.Kind, "method.kind").Plan(checkpoint.Used, spec.Method);
        if (plan.HasAdapters) return Others + plan.Trained.Sum(t => t.Tensor.ElementCount) * sizeof(float);
        var trained = plan.Trained.Select(t => t.Tensor.Name).ToHashSet();
        var weights = checkpoint.Files.Names.Sum(name => checkpoint.Files.Info(name).ElementCount * StoredType.Of(TypeOf(name)).ElementBytes);
        var copied = HfExport.Copied(spec.Model.Path).Sum(name => new FileInfo(Path.Combine(spec.Model.Path, name)).Length);
        return Others + weights + copied;

        ScalarType TypeOf(string name) => trained.Contains(name) ? type : checkpoint.Files.Type(name);
    }

    /// <returns>Null where there is room.</returns>
    internal static string? Problem(long needed, long free, string folder) => needed <= free
        ? null
        : $"output: the result needs {Gigabytes(needed)} and {Gigabytes(free)} are free, got {folder}; "
            + "free space there or choose another folder.";

    /// <summary>On the disk of the first ancestor that exists.</summary>
    private static long FreeBytes(string folder)
    {
        var existing = Path.GetFullPath(folder);
        while (!Directory.Exists(existing)) existing = Path.GetDirectoryName(existing)!;
        return new DriveInfo(existing).AvailableFreeSpace;
    }

    private static string Gigabytes(long bytes) => (bytes / 1e9).ToString("0.000 GB", CultureInfo.InvariantCulture);
}
