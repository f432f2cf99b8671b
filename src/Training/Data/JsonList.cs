using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>Finds the items of a file that is one JSON list, however large, in one pass.</summary>
internal static class JsonList
{
    private const int BufferBytes = 1 << 20;

    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>Whether the first character that is no space is [.</summary>
    public static bool Begins(SafeFileHandle file)
    {
        Span<byte> start = stackalloc byte[1024];
        start = start[..RandomAccess.Read(file, start, 0)];
        if (start.StartsWith(ByteOrderMark)) start = start[ByteOrderMark.Length..];
        return start.TrimStart(" \t\r\n"u8) is [(byte)'[', ..];
    }

    /// <exception cref="InputException">It is not JSON to its end.</exception>
    public static List<JsonSpan> Find(SafeFileHandle file, string path)
    {
        try
        {
            return Find(file);
        }
        catch (JsonException e)
        {
            throw new InputException($"{path}: the list is not JSON ({e.Message}); mend the file, or write one sample a line.");
        }
    }

    private static List<JsonSpan> Find(SafeFileHandle file)
    {
        var (items, state, buffer) = (new List<JsonSpan>(), new JsonReaderState(), new byte[BufferBytes]);
        var (offset, held, begin) = (0L, 0, 0L); // where the buffer lies in the file, what it holds, where the item began
        for (; ; )
        {
            var read = RandomAccess.Read(file, buffer.AsSpan(held), offset + held);
            held += read;
            var skipped = offset == 0 && buffer.AsSpan().StartsWith(ByteOrderMark) ? ByteOrderMark.Length : 0;
            var reader = new Utf8JsonReader(buffer.AsSpan(skipped, held - skipped), isFinalBlock: read == 0, state);
            while (reader.Read())
            {
                if (reader.CurrentDepth != 1) continue;
                if (reader.TokenType is not (JsonTokenType.EndObject or JsonTokenType.EndArray))
                    begin = offset + skipped + reader.TokenStartIndex;
                if (reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray) continue;
                items.Add(new(begin, checked((int)(offset + skipped + reader.BytesConsumed - begin)), 0));
            }
            if (read == 0) return items;
            state = reader.CurrentState;
            var done = skipped + (int)reader.BytesConsumed;
            buffer.AsSpan(done, held - done).CopyTo(buffer);
            (offset, held) = (offset + done, held - done);
            if (held == buffer.Length) Array.Resize(ref buffer, checked(2 * buffer.Length)); // one token fills it
        }
    }
}
