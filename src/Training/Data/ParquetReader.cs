using Apache.Arrow;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Samples of a parquet file. A row group is decoded when one of its rows is first asked for, and never again: its texts stay in memory,
/// its images in an <see cref="ImageSpill"/>. Thread-safe.
/// </summary>
internal sealed class ParquetReader : IDatasetReader
{
    private readonly ParquetFile _file;
    private readonly string _imageRoot;
    private readonly Func<RecordBatch, int, ParquetRow, Sample> _parse;
    private readonly int[] _groupStarts;
    private readonly Row[]?[] _groups;
    private readonly ImageSpill _spill = new();
    private readonly Lock _gate = new();

    /// <param name="parse">Makes a sample of a batch's row; notes problems in the <see cref="ParquetRow"/> instead of throwing.</param>
    public ParquetReader(ParquetFile file, string imageRoot, Func<RecordBatch, int, ParquetRow, Sample> parse)
    {
        (_file, _imageRoot, _parse) = (file, imageRoot, parse);
        _groups = new Row[]?[file.RowGroupRows.Count];
        _groupStarts = new int[_groups.Length];
        for (var i = 0; i < _groups.Length; i++)
        {
            _groupStarts[i] = Count;
            Count += file.RowGroupRows[i];
        }
    }

    public int Count { get; }

    public Sample Read(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        var group = System.Array.FindLastIndex(_groupStarts, start => start <= index);
        lock (_gate)
        {
            var row = (_groups[group] ??= ReadGroup(group))[index - _groupStarts[group]];
            return row.Sample ?? throw new InputException(row.Problems);
        }
    }

    public void Dispose()
    {
        _file.Dispose();
        _spill.Dispose();
    }

    private Row[] ReadGroup(int group)
    {
        var rows = new List<Row>(_file.RowGroupRows[group]);
        _file.ReadGroup(group, batch =>
        {
            for (var i = 0; i < batch.Length; i++)
            {
                var row = new ParquetRow(_file.Path, _groupStarts[group] + rows.Count, _imageRoot, _spill);
                var sample = _parse(batch, i, row);
                rows.Add(new(row.Problems.Count == 0 ? sample : null, row.Problems));
            }
        });
        return [.. rows];
    }

    private sealed record Row(Sample? Sample, IReadOnlyList<string> Problems);
}
