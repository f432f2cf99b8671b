using Microsoft.Win32.SafeHandles;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Random access to the JSON values of a file, of which memory holds 16 bytes each. They are its lines, or the items of one list.
/// Thread-safe.
/// </summary>
internal sealed class JsonRows : IDisposable
{
    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly List<JsonSpan> _spans;
    private readonly bool _isList;

    /// <param name="mayBeList">A file that begins with [ is one list; otherwise it is lines, whatever they begin with.</param>
    /// <exception cref="InputException">The file cannot be read, or the list is not JSON.</exception>
    public JsonRows(string path, bool mayBeList)
    {
        _path = path;
        try
        {
            _file = File.OpenHandle(path);
            _isList = mayBeList && JsonList.Begins(_file);
            _spans = _isList ? JsonList.Find(_file, path) : JsonLines.Find(_file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _file?.Dispose();
            throw new InputException($"{path}: cannot be read ({e.Message}); check the file and its permissions.");
        }
        catch (InputException)
        {
            _file?.Dispose();
            throw;
        }
    }

    public int Count => _spans.Count;

    /// <summary>What an editor shows: path:line; or the number of the list's item, from 0.</summary>
    public string Where(int index) => _isList ? $"{_path}: row {index}" : $"{_path}:{_spans[index].Line}";

    /// <summary>The value's UTF-8 bytes.</summary>
    /// <exception cref="InputException">The file has become shorter since it was opened.</exception>
    public byte[] Read(int index)
    {
        var span = _spans[index];
        var bytes = new byte[span.Length];
        for (var done = 0; done < bytes.Length;)
        {
            var count = RandomAccess.Read(_file, bytes.AsSpan(done), span.Offset + done);
            if (count == 0) throw new InputException($"{Where(index)}: the file has become shorter since it was opened; start again.");
            done += count;
        }
        return bytes;
    }

    public void Dispose() => _file.Dispose();
}

/// <summary>Where in its file a JSON value lies, in bytes.</summary>
/// <param name="Line">From 1; 0 in a list.</param>
internal readonly record struct JsonSpan(long Offset, int Length, int Line);
