using Microsoft.Win32.SafeHandles;

namespace Phi3VCluster.Training.Data;

/// <summary>Finds the lines of a text file in one pass. Blank lines do not count.</summary>
internal static class JsonLines
{
    public static List<JsonSpan> Find(SafeFileHandle file)
    {
        var lines = new List<JsonSpan>();
        var buffer = new byte[1 << 20];
        ReadOnlySpan<byte> byteOrderMark = [0xEF, 0xBB, 0xBF];
        var (begin, number, blank) = (0L, 1, true);
        for (long at = 0; ;)
        {
            var chunk = buffer.AsSpan(0, RandomAccess.Read(file, buffer, at));
            if (at == 0 && chunk.StartsWith(byteOrderMark)) begin = byteOrderMark.Length;
            for (var done = (int)(begin - at > 0 ? begin - at : 0); done < chunk.Length;)
            {
                var length = chunk[done..].IndexOf((byte)'\n');
                var part = length < 0 ? chunk[done..] : chunk.Slice(done, length);
                blank &= part.IndexOfAnyExcept(" \t\r"u8) < 0;
                done += part.Length;
                if (length < 0) break;
                if (!blank) lines.Add(new(begin, checked((int)(at + done - begin)), number));
                (begin, number, blank) = (at + ++done, number + 1, true);
            }
            at += chunk.Length;
            if (chunk.Length > 0) continue;
            if (!blank) lines.Add(new(begin, checked((int)(at - begin)), number));
            return lines;
        }
    }
}
