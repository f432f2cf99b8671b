namespace Phi3VCluster.Training.Data;

/// <summary>The rows of a dataset that a run uses: a range of them, without those that are skipped. Thread-safe.</summary>
public sealed class RunRows : IDatasetReader
{
    private readonly IDatasetReader _all;
    private readonly int _first;
    private readonly int[]? _good; // null when all are
    private readonly Func<Sample, Sample> _shape;

    internal RunRows(IDatasetReader all, int first, int end, BadRows bad, Func<Sample, Sample>? shape)
    {
        (_all, _first, _shape) = (all, first, shape ?? (sample => sample));
        if (bad.Rows.Count > 0) _good = [.. Enumerable.Range(first, end - first).Except(bad.Rows)];
        Count = end - first - bad.Rows.Count;
        SkippedRows = bad.Problems;
    }

    public int Count { get; }

    /// <summary>What is wrong with the rows that are left out.</summary>
    public IReadOnlyList<string> SkippedRows { get; }

    public Sample Read(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        return _shape(_all.Read(_good?[index] ?? _first + index));
    }

    public void Dispose() => _all.Dispose();
}
