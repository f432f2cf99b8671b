using System.Text.RegularExpressions;
using Apache.Arrow;
using Apache.Arrow.Ipc;
using ParquetSharp;
using ParquetSharp.Arrow;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>A parquet file, opened and checked for the columns that a dataset needs. For one thread at a time.</summary>
internal sealed partial class ParquetFile : IDisposable
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
        catch (Exception error) when (error is not OutOfMemoryException) // the library's own come in several types
        {
            throw new InputException(KindOf(path) is { } kind
                ? $"{path}: is {kind.Name}, not parquet; {kind.Advice}."
                : BeginsAs(path) switch
                {
                    "PAR1" => $"{path}: is not a whole parquet file, got {new FileInfo(path).Length} bytes; copy or download it again.",
                    ['{' or '[', ..] => $"{path}: is JSON, not parquet; choose data.kind conversations, llava or messages, which read it.",
                    "" => $"{path}: is empty, not parquet; copy or download it again.",
                    _ => $"{path}: is not parquet, which begins with PAR1; give a parquet file.",
                });
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
            throw new InputException($"{Path}: row group {group} cannot be read ({Reason(e)}); write or copy the file again.");
        }
    }

    /// <summary>What the library says, without the names of its types and where in its sources it was.</summary>
    private static string Reason(Exception error)
    {
        var said = LibraryMessage().Match(error.Message) is { Success: true } match ? match.Groups[1].Value : error.Message;
        return said.Split('\n')[0].Trim().TrimEnd('.');
    }

    [GeneratedRegex(@"\(message: '(.*)'\)", RegexOptions.Singleline)]
    private static partial Regex LibraryMessage();

    public void Dispose() => _file.Dispose();

    private static FileSignature? KindOf(string path)
    {
        using var file = File.OpenHandle(path);
        var bytes = new byte[FileSignature.BytesNeeded];
        var kind = FileSignature.Of(bytes.AsSpan(0, RandomAccess.Read(file, bytes, 0)));
        return kind?.Name.Contains("parquet", StringComparison.Ordinal) == true ? null : kind;
    }

    private static string BeginsAs(string path)
    {
        using var file = File.OpenHandle(path);
        var bytes = new byte[4];
        return System.Text.Encoding.Latin1.GetString(bytes, 0, RandomAccess.Read(file, bytes, 0));
    }

    private int RowsOf(int group)
    {
        using var rows = _file.ParquetReader.RowGroup(group);
        return checked((int)rows.MetaData.NumRows);
    }
}
