using Apache.Arrow;
using Apache.Arrow.Ipc;
using ParquetSharp;
using ParquetSharp.Arrow;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>A parquet file, opened and checked for the columns that a dataset needs. For one thread at a time.</summary>
internal sealed class ParquetFile : IDisposable
{
    /// <summary>Rows decoded at once; pages of a scanned document are up to a few MB each.</summary>
    private const int BatchRows = 64;

    private readonly FileReader _file;
    private readonly int[] _columns;

    /// <param name="optional">Read where they exist.</param>
    /// <exception cref="InputException">Not parquet, cut short, or without a required column.</exception>
    public ParquetFile(string path, IReadOnlyList<ParquetColumn> required, IReadOnlyList<ParquetColumn> optional)
    {
        Path = path;
        // Page by page: some writers make one row group of a whole file.
        using var reading = ReaderProperties.GetDefaultReaderProperties();
        reading.EnableBufferedStream();
        using var properties = ArrowReaderProperties.GetDefault();
        (properties.BatchSize, properties.PreBuffer) = (BatchRows, false);
        try
        {
            _file = new FileReader(path, reading, properties);
        }
        catch (ParquetException e)
        {
            throw new InputException(KindOf(path) is { } kind
                ? $"{path}: is {kind.Name}, not parquet; {kind.Advice}."
                : $"{path}: not a whole parquet file ({e.Message}); copy it again.");
        }
        var columns = ParquetColumn.Leaves(_file.Schema);
        var missing = required.Where(wanted => !columns.Any(column => column.Fits(wanted))).ToList();
        if (missing.Count > 0)
        {
            _file.Dispose();
            throw new InputException($"{path}: column(s) {string.Join(", ", missing)} are missing, it has {string.Join(", ", columns)}; "
                + "choose the data.kind whose columns these are.");
        }
        _columns = [.. Enumerable.Range(0, columns.Count).Where(i => required.Concat(optional).Any(columns[i].Fits))];
        RowGroupRows = [.. Enumerable.Range(0, _file.NumRowGroups).Select(RowsOf)];
    }

    public string Path { get; }

    /// <summary>Rows of each row group.</summary>
    public IReadOnlyList<int> RowGroupRows { get; }

    /// <summary>Calls <paramref name="use"/> with the rows of one row group, some at a time and in order.</summary>
    /// <exception cref="InputException">The group is damaged.</exception>
    public void ReadGroup(int group, Action<RecordBatch> use)
    {
        try
        {
            using var reader = _file.GetRecordBatchReader([group], _columns);
            while (Next(reader, group) is { } batch)
                using (batch) use(batch);
        }
        catch (IOException e)
        {
            throw new InputException($"{Path}: row group {group} could not be unpacked to {System.IO.Path.GetTempPath()} ({e.Message}); "
                + "make room, or set TMPDIR.");
        }
    }

    private RecordBatch? Next(IArrowArrayStream reader, int group)
    {
        try
        {
            return reader.ReadNextRecordBatchAsync().AsTask().GetAwaiter().GetResult();
        }
        catch (Exception e) // Arrow's own errors come through its C interface as plain ones
        {
            var reason = e.Message.ReplaceLineEndings(" ").Trim();
            throw new InputException($"{Path}: row group {group} cannot be read ({reason}); write or copy the file again.");
        }
    }

    public void Dispose() => _file.Dispose();

    private static FileKind? KindOf(string path)
    {
        using var file = File.OpenHandle(path);
        var bytes = new byte[FileKind.BytesNeeded];
        var kind = FileKind.Of(bytes.AsSpan(0, RandomAccess.Read(file, bytes, 0)));
        return kind?.Name.Contains("parquet", StringComparison.Ordinal) == true ? null : kind;
    }

    private int RowsOf(int group)
    {
        using var rows = _file.ParquetReader.RowGroup(group);
        return checked((int)rows.MetaData.NumRows);
    }
}
