using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Which rows of a spec's data train and which evaluate. Where <c>data.eval</c> names other files than <c>data.train</c>, all rows of each;
/// else the first rows, <c>data.evalRows</c> or as many as the kind holds out, evaluate and the others train.
/// </summary>
public static class RunData
{
    /// <exception cref="InputException">The files, or too many of their rows, are bad, or all rows are held out.</exception>
    public static RunRows OpenTraining(DataSpec spec, CancellationToken stop = default)
    {
        var kind = Kind(spec);
        var first = HasOwnFiles(spec) ? 0 : HeldOutRows(spec, kind);
        return Open(kind, spec, spec.Train, all => all > first
            ? (first, all)
            : throw new InputException($"data.train: has {all} rows and the first {first} of them evaluate, so none is left to train; "
                + "lower data.evalRows or name the held-out files in data.eval."), stop);
    }

    /// <returns>Rows whose last turn is asked, or null when none are held out.</returns>
    /// <exception cref="InputException">The files, or too many of their rows, are bad.</exception>
    public static RunRows? OpenEvaluation(DataSpec spec, CancellationToken stop = default)
    {
        var kind = Kind(spec);
        var held = HasOwnFiles(spec) ? 0 : HeldOutRows(spec, kind);
        if (spec.Eval is null && held == 0) return null;
        return Open(kind, spec, spec.Eval ?? spec.Train, all => (0, held == 0 ? all : Math.Min(held, all)), stop, Asked);
    }

    private static RunRows Open(IDataset kind, DataSpec spec, string path, Func<int, (int First, int End)> choose, CancellationToken stop,
        Func<Sample, Sample>? shape = null)
    {
        var reader = kind.Open(spec, path);
        try
        {
            var (first, end) = choose(reader.Count);
            var bad = BadRows.Find(reader, first, end, stop);
            bad.Check(spec.OnBadSample, $"{DataFiles.Setting(spec, path)}: {path}");
            return new(reader, first, end, bad, shape);
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    private static IDataset Kind(DataSpec spec) => Catalog<IDataset>.Find(spec.Kind, "data.kind");

    private static bool HasOwnFiles(DataSpec spec) => spec.Eval is { } eval && spec.Train.Length > 0 && eval != spec.Train;

    private static int HeldOutRows(DataSpec spec, IDataset kind) => spec.EvalRows ?? kind.HeldOutRows;

    /// <summary>What evaluation asks, as a sample whose last turn it is.</summary>
    private static Sample Asked(Sample sample) =>
        sample.Kind == SampleKind.Conversation ? sample : sample with { Turns = [sample.Turns[0]], Kind = SampleKind.Conversation };
}
