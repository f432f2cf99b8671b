using Microsoft.Win32.SafeHandles;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>Random access to the lines of a text file: one pass notes where they begin. Blank lines do not count. Thread-safe.</summary>
internal sealed class JsonLines : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly List<Line> _lines = [];

    /// <exception cref="InputException">The file cannot be read.</exception>
    public JsonLines(string path)
    {
        Path = path;
        try
        {
            _file = File.OpenHandle(path);
            FindLines();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _file?.Dispose();
            throw new InputException($"{path}: cannot be read ({e.Message}); check the file and its permissions.");
        }
    }

    public string Path { get; }
    public int Count => _lines.Count;

    /// <summary>The row's number in the file, blank lines counted, from 1: what an editor shows.</summary>
    public int NumberOf(int index) => _lines[index].Number;

    /// <summary>The line's UTF-8 bytes.</summary>
    /// <exception cref="InputException">The file has become shorter since it was opened.</exception>
    public byte[] Read(int index)
    {
        var line = _lines[index];
        var bytes = new byte[line.Length];
        for (var done = 0; done < bytes.Length;)
        {
            var count = RandomAccess.Read(_file, bytes.AsSpan(done), line.Offset + done);
            if (count == 0) throw new InputException($"{Path}:{line.Number}: the file has become shorter since it was opened; start again.");
            done += count;
        }
        return bytes;
    }

    public void Dispose() => _file.Dispose();

    private void FindLines()
    {
        var buffer = new byte[1 << 20];
        ReadOnlySpan<byte> byteOrderMark = [0xEF, 0xBB, 0xBF];
        var (begin, number, blank) = (0L, 1, true);
        for (long at = 0; ;)
        {
            var chunk = buffer.AsSpan(0, RandomAccess.Read(_file, buffer, at));
            if (at == 0 && chunk.StartsWith(byteOrderMark)) begin = byteOrderMark.Length;
            for (var done = (int)(begin - at > 0 ? begin - at : 0); done < chunk.Length;)
            {
                var length = chunk[done..].IndexOf((byte)'\n');
                var part = length < 0 ? chunk[done..] : chunk.Slice(done, length);
                blank &= part.IndexOfAnyExcept(" \t\r"u8) < 0;
                done += part.Length;
                if (length < 0) break;
                if (!blank) _lines.Add(new(begin, checked((int)(at + done - begin)), number));
                (begin, number, blank) = (at + ++done, number + 1, true);
            }
            at += chunk.Length;
            if (chunk.Length > 0) continue;
            if (!blank) _lines.Add(new(begin, checked((int)(at - begin)), number));
            return;
        }
    }

    private readonly record struct Line(long Offset, int Length, int Number);
}
