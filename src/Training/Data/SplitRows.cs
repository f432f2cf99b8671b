namespace Phi3VCluster.Training.Data;

/// <summary>The rows that a run trains or evaluates on: a range of the files' rows, without those that are skipped. Thread-safe.</summary>
public sealed class SplitRows : IDatasetReader
{
    private readonly Func<Sample, Sample> _shape;
    private int _disposed;

    /// <param name="shape">What is made of each sample.</param>
    internal SplitRows(SharedRows shared, Func<Sample, Sample> shape) => (Shared, _shape) = (shared, shape);

    public int Count => Shared.Slice.Count;

    /// <summary>What is wrong with the rows that are left out.</summary>
    public IReadOnlyList<string> SkippedRows => Shared.Slice.SkippedRows;

    /// <summary>What is in them and may not be meant.</summary>
    internal RowRemarks Remarks => Shared.Slice.Remarks;

    internal SharedRows Shared { get; }

    public Sample Read(int index) => _shape(Shared.Slice.Read(index));

    /// <summary>A sample's id, as it was when the rows were looked through: nothing is read.</summary>
    public string IdOf(int index) => Shared.Slice.IdOf(index);

    public RowPlace Place(int index) => Shared.Slice.Place(index);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0) Shared.Release();
    }
}
