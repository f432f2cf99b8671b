using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Which rows of a spec's data train and which evaluate. Where <c>data.eval</c> names other files than <c>data.train</c>, all rows of each;
/// else <c>data.evalRows</c> rows, or as many as the kind holds out, evaluate and the others train: the first, or such as the seed draws
/// (<c>data.evalSplit</c>). Every row is read once here, so that bad ones are known before anything is computed.
/// </summary>
public static class DataSplit
{
    /// <param name="check">What else makes a row bad; of a row as the files have it, whole.</param>
    /// <param name="seed">Draws the held-out rows where they are drawn.</param>
    /// <exception cref="InputException">The files, or too many of their rows, are bad, or all rows are held out.</exception>
    public static SplitRows OpenTraining(DataSpec spec, CancellationToken stop = default, RowCheck? check = null, int seed = 0)
    {
        var kind = Kind(spec);
        var held = HeldOutRows(spec, kind);
        return Open(kind, spec, spec.Train, sample => sample, check, stop, new(held, Draws(spec), seed), held, rows => rows > held
            ? rows
            : throw new InputException($"data.train: {spec.Train} has {rows} rows and {(Draws(spec) ? "" : "the first ")}{held} evaluate, "
                + "so none is left to train; "
                + "lower data.evalRows, or name held-out files in data.eval."));
    }

    /// <param name="check">As in training.</param>
    /// <returns>Rows whose last turn is asked, or null when none are held out.</returns>
    /// <exception cref="InputException">The files, or too many of their rows, are bad.</exception>
    public static SplitRows? OpenEvaluation(DataSpec spec, CancellationToken stop = default, RowCheck? check = null, int seed = 0)
    {
        var kind = EvaluationKind(spec);
        var held = HeldOutRows(spec, kind);
        return spec.Eval is null && held == 0 ? null
            : Open(kind, spec, spec.Eval ?? spec.Train, Asked, check, stop, new(held, Draws(spec), seed), first: 0,
                rows => held == 0 ? rows : Math.Min(held, rows));
    }

    /// <summary>
    /// The rows that evaluate, bad ones among them; where a part of a file's rows is held out, the others follow. None is read yet.
    /// </summary>
    /// <exception cref="InputException">No file, not readable, or not in its format.</exception>
    public static IDatasetReader PeekEvaluation(DataSpec spec, int seed)
    {
        var kind = EvaluationKind(spec);
        return new HeldOut(HeldOutRows(spec, kind), Draws(spec), seed).Order(kind.Open(spec, spec.Eval ?? spec.Train));
    }

    /// <param name="end">Row count → the first row that is not taken any more.</param>
    private static SplitRows Open(
        IDataset kind, DataSpec spec, string path, Func<Sample, Sample> shape, RowCheck? check, CancellationToken stop, HeldOut held,
        int first, Func<int, int> end)
    {
        var files = DataFiles.Find(spec, path).Select(name => new FileInfo(name));
        var key = string.Join('\n', [$"{kind.Name} {spec} {path} {first} {held} {check?.Key}",
            .. files.Select(file => (file.FullName, file.Length, file.LastWriteTimeUtc.Ticks))]);
        return new(SharedRows.Take(key, progress =>
        {
            var reader = held.Order(kind.Open(spec, path));
            try
            {
                var last = end(reader.Count);
                var bad = BadRows.Find(reader, first, last, check, stop, done => progress(done, last - first));
                bad.Check(spec.OnBadSample, $"{DataFiles.Setting(spec, path)}: {path}");
                return new(reader, first, bad);
            }
            catch
            {
                reader.Dispose();
                throw;
            }
        }, check?.Progress, stop), shape);
    }

    /// <summary>Whether a row may train and evaluate: evaluation then measures what was learned by heart.</summary>
    public static bool EvaluatesOnTrainingRows(DataSpec spec)
    {
        if (spec.Eval is null || HeldOutRows(spec, Kind(spec)) > 0) return false;
        var trained = DataFiles.Find(spec, spec.Train).Select(Path.GetFullPath).ToHashSet();
        return DataFiles.Find(spec, spec.Eval).Any(file => trained.Contains(Path.GetFullPath(file)));
    }

    private static bool Draws(DataSpec spec) => spec.EvalSplit == "random";

    private static IDataset Kind(DataSpec spec) => Catalog<IDataset>.Find(spec.Kind, "data.kind");

    private static IDataset EvaluationKind(DataSpec spec) =>
        spec.EvalKind is { } own ? Catalog<IDataset>.Find(own, "data.evalKind") : Kind(spec);

    /// <summary>0 where files of their own evaluate.</summary>
    private static int HeldOutRows(DataSpec spec, IDataset kind) => spec.Eval is { } eval && spec.Train.Length > 0 && eval != spec.Train
        ? 0
        : spec.EvalRows ?? kind.HeldOutRows;

    /// <summary>What evaluation asks, as a sample whose last turn it is.</summary>
    private static Sample Asked(Sample sample) =>
        sample.Kind == SampleKind.Conversation ? sample : sample with { Turns = [sample.Turns[0]], Kind = SampleKind.Conversation };
}
