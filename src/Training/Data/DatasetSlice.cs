namespace Phi3VCluster.Training.Data;

/// <summary>A range of a dataset's rows without the bad ones.</summary>
internal sealed class DatasetSlice : IDatasetReader
{
    private readonly IDatasetReader _all;
    private readonly int _first;
    private readonly int[]? _good; // null when all are
    private readonly IReadOnlyList<string> _ids;

    public DatasetSlice(IDatasetReader all, int first, BadRows bad)
    {
        (_all, _first, _ids, SkippedRows, Remarks) = (all, first, bad.Ids, bad.Problems, bad.Remarks);
        if (bad.Rows.Count > 0) _good = [.. Enumerable.Range(first, bad.RowCount).Except(bad.Rows)];
        Count = bad.RowCount - bad.Rows.Count;
    }

    public int Count { get; }

    public IReadOnlyList<string> SkippedRows { get; }

    public RowRemarks Remarks { get; }

    public Sample Read(int index) => _all.Read(Whole(index));

    /// <summary>A sample's id, as it was when the rows were looked through: nothing is read.</summary>
    public string IdOf(int index) => _ids[Whole(index) - _first];

    public RowPlace Place(int index) => _all.Place(Whole(index));

    public void Dispose() => _all.Dispose();

    private int Whole(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        return _good?[index] ?? _first + index;
    }
}
