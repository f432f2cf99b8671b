using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Random access to the JSON values of a file, of which memory holds 16 bytes each; <see cref="JsonLayout"/> says how they lie.
/// Thread-safe.
/// </summary>
internal sealed class JsonRows : IDisposable
{
    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly List<JsonSpan> _spans;
    private readonly bool _isList;
    private readonly FileStamp _stamp;

    /// <exception cref="InputException">The file cannot be read, is of another kind, or the list is not JSON.</exception>
    public JsonRows(string path)
    {
        _path = path;
        try
        {
            _file = JsonText.Open(path);
            (_spans, _isList) = Layout(path, ref _file);
            _stamp = FileStamp.Of(_file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _file?.Dispose();
            throw new InputException($"{path}: cannot be read ({e.Message}); check the file and its permissions.");
        }
        catch (OverflowException)
        {
            _file?.Dispose();
            throw new InputException($"{path}: holds a sample of more than 2 GiB; split it.");
        }
        catch (InputException)
        {
            _file?.Dispose();
            throw;
        }
    }

    public int Count => _spans.Count;

    /// <summary>The line where it begins, or the list's item.</summary>
    public RowPlace Place(int index) => _isList ? new(_path, index) : new(_path, _spans[index].Line, IsLine: true);

    /// <summary>The value's UTF-8 bytes.</summary>
    /// <exception cref="InputException">The file has been written to since it was opened: its values lie elsewhere now.</exception>
    public byte[] Read(int index)
    {
        var span = _spans[index];
        var bytes = new byte[span.Length];
        for (var done = 0; done < bytes.Length;)
        {
            var count = RandomAccess.Read(_file, bytes.AsSpan(done), span.Offset + done);
            if (count == 0) break; // shorter than it was, as its stamp tells
            done += count;
        }
        if (FileStamp.Of(_file) is var now && now != _stamp)
            throw new InputException($"{_path}: was changed while it was in use, from {_stamp} to {now}; "
                + "leave data files alone during a run (a new file under the same name disturbs nothing) and start it again.");
        return bytes;
    }

    public void Dispose() => _file.Dispose();

    /// <summary>A list that is broken may only hold what Python writes for missing numbers.</summary>
    private static JsonLayout Layout(string path, ref SafeFileHandle file)
    {
        try
        {
            return JsonLayout.Find(file, path);
        }
        catch (JsonException e)
        {
            if (JsonText.WithoutNaN(path, file) is not { } mended) return Broken(path, file, e);
            file = mended;
        }
        try
        {
            return JsonLayout.Find(file, path);
        }
        catch (JsonException e)
        {
            return Broken(path, file, e);
        }
    }

    private static JsonLayout Broken(string path, SafeFileHandle file, JsonException error)
    {
        var first = JsonScan.FirstByte(file);
        if (first != '[' && JsonLayout.Lines(file) is { Spans.Count: 1 } line) return line; // a sample, which is bad
        throw new InputException(first switch
        {
            (byte)'[' => $"{path}: the list is not JSON ({JsonError.Of(error)}); mend the file, or write one sample a line.",
            (byte)'{' => $"{path}: is JSON over several lines and broken ({JsonError.Of(error)}); "
                + "mend the file, or write one sample a line.",
            _ => $"{path}: is not JSON ({JsonError.Of(error)}); write one JSON object a line, or a JSON list.",
        });
    }
}

/// <summary>What shows that an open file was written to.</summary>
internal readonly record struct FileStamp(long Length, DateTime WrittenUtc)
{
    public static FileStamp Of(SafeFileHandle file) => new(RandomAccess.GetLength(file), File.GetLastWriteTimeUtc(file));

    public override string ToString() => $"{Length} bytes of {WrittenUtc:yyyy-MM-dd HH:mm:ss.fff} UTC";
}

/// <summary>Where in its file a JSON value lies, in bytes.</summary>
/// <param name="Line">From 1; 0 in a list.</param>
internal readonly record struct JsonSpan(long Offset, int Length, int Line);
