using System.Text;

namespace Phi3VCluster.Silo.Http;

/// <summary>Finds lines in a file of steps by their steps. A last line without its end is being written, and is none yet.</summary>
internal sealed class StepLineFinder(Stream file)
{
    private const int Block = 4096;
    private const byte End = (byte)'\n';

    private readonly long _end = AfterLastEnd(file, file.Length);

    /// <summary>The last step; null where there is none.</summary>
    public long? Last => _end == 0 ? null : StepAt(AfterLastEnd(file, _end - 1));

    /// <summary>The lines of this step and of all after it.</summary>
    public IEnumerable<string> From(long step)
    {
        var (low, high) = (0L, _end); // a line's beginning whose step may be too small; one, or the end, that is not before the wanted
        while (low < high)
        {
            var middle = AfterLastEnd(file, low + (high - low) / 2);
            if (middle < low) middle = low;
            if (StepAt(middle) >= step) high = middle;
            else low = NextLine(middle);
        }
        file.Position = low;
        using var reader = new StreamReader(file, Encoding.UTF8, leaveOpen: true);
        for (var at = low; at < _end && reader.ReadLine() is { } line; at += Encoding.UTF8.GetByteCount(line) + 1) yield return line;
    }

    private long? StepAt(long position)
    {
        file.Position = position;
        using var reader = new StreamReader(file, Encoding.UTF8, leaveOpen: true);
        return reader.ReadLine() is { } line ? StepsFile.Step(line)?.Step : null;
    }

    private long NextLine(long position)
    {
        file.Position = position;
        var block = new byte[Block];
        for (int read; (read = file.Read(block)) > 0; position += read)
            if (Array.IndexOf(block, End, 0, read) is var at and >= 0) return position + at + 1;
        return _end;
    }

    /// <summary>The place after the last line's end before a position; 0 where there is none.</summary>
    private static long AfterLastEnd(Stream file, long before)
    {
        var block = new byte[Block];
        while (before > 0)
        {
            var first = Math.Max(0, before - Block);
            file.Position = first;
            var count = file.ReadAtLeast(block.AsSpan(0, (int)(before - first)), (int)(before - first), throwOnEndOfStream: false);
            if (Array.LastIndexOf(block, End, Math.Max(0, count - 1), count) is var at and >= 0) return first + at + 1;
            before = first;
        }
        return 0;
    }
}
