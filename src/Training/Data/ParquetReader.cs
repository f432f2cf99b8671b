using Apache.Arrow;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Samples of a parquet file. A row group is decoded when one of its rows is first asked for, and never again: its rows go to a
/// <see cref="Spill"/>, of which memory holds 16 bytes a row. Thread-safe.
/// </summary>
internal sealed class ParquetReader : IDatasetReader
{
    private readonly ParquetFile _file;
    private readonly string _imageRoot;
    private readonly Func<RecordBatch, int, ParquetRow, Sample?> _parse;
    private readonly int[] _groupStarts;
    private readonly SpillRange[]?[] _groups;
    private readonly Spill _spill = new();
    private readonly Lock _gate = new();

    /// <param name="parse">Makes a sample of a batch's row, or notes in the <see cref="ParquetRow"/> why it cannot.</param>
    public ParquetReader(ParquetFile file, string imageRoot, Func<RecordBatch, int, ParquetRow, Sample?> parse)
    {
        (_file, _imageRoot, _parse) = (file, imageRoot, parse);
        _groups = new SpillRange[]?[file.RowGroupRows.Count];
        _groupStarts = new int[_groups.Length];
        for (var i = 0; i < _groups.Length; i++)
        {
            _groupStarts[i] = Count;
            Count += file.RowGroupRows[i];
        }
    }

    public int Count { get; }

    public RowPlace Place(int index) => new(_file.Path, index);

    public Sample Read(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        var group = System.Array.FindLastIndex(_groupStarts, start => start <= index);
        SpillRange row;
        lock (_gate) row = (_groups[group] ??= ReadGroup(group))[index - _groupStarts[group]];
        return SpilledRow.Read(_spill, row);
    }

    public void Dispose()
    {
        _file.Dispose();
        _spill.Dispose();
    }

    private SpillRange[] ReadGroup(int group)
    {
        var rows = new List<SpillRange>(_file.RowGroupRows[group]);
        _file.ReadGroup(group, batch =>
        {
            for (var i = 0; i < batch.Length; i++)
            {
                var row = new ParquetRow(_file.Path, _groupStarts[group] + rows.Count, _imageRoot, _spill);
                rows.Add(SpilledRow.Add(_spill, _parse(batch, i, row), row.Problems));
            }
        });
        return [.. rows];
    }
}
