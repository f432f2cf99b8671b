using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Phi3VCluster.Training.Data;

/// <summary>A token of a JSON file: where it lies, in bytes, and how deep.</summary>
/// <param name="Property">The name, of a property's.</param>
internal readonly record struct JsonMark(JsonTokenType Type, int Depth, long Begin, long End, string? Property = null)
{
    public bool Begins => Type is JsonTokenType.StartObject or JsonTokenType.StartArray;
    public bool Ends => Type is JsonTokenType.EndObject or JsonTokenType.EndArray;
}

/// <summary>Walks through the JSON values of a file, however large, in one pass.</summary>
internal static class JsonScan
{
    private const int BufferBytes = 1 << 20;

    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>The first character that is no space, or 0.</summary>
    public static byte FirstByte(SafeFileHandle file)
    {
        Span<byte> start = stackalloc byte[1024];
        start = start[..RandomAccess.Read(file, start, 0)];
        if (start.StartsWith(ByteOrderMark)) start = start[ByteOrderMark.Length..];
        return start.TrimStart(" \t\r\n"u8) is [var first, ..] ? first : (byte)0;
    }

    /// <param name="deepest">Tokens below are passed over.</param>
    /// <param name="severalValues">Values may follow each other; else what follows the first is an error.</param>
    /// <exception cref="JsonException">It is not JSON to its end.</exception>
    public static void Run(SafeFileHandle file, int deepest, bool severalValues, Action<JsonMark> see)
    {
        var (state, buffer) = (new JsonReaderState(new() { AllowMultipleValues = severalValues }), new byte[BufferBytes]);
        var (offset, held) = (0L, 0); // where the buffer lies in the file, what it holds
        for (; ; )
        {
            var read = RandomAccess.Read(file, buffer.AsSpan(held), offset + held);
            held += read;
            var skipped = offset == 0 && buffer.AsSpan().StartsWith(ByteOrderMark) ? ByteOrderMark.Length : 0;
            var reader = new Utf8JsonReader(buffer.AsSpan(skipped, held - skipped), isFinalBlock: read == 0, state);
            while (reader.Read())
            {
                if (reader.CurrentDepth > deepest) continue;
                var start = offset + skipped;
                see(new(reader.TokenType, reader.CurrentDepth, start + reader.TokenStartIndex, start + reader.BytesConsumed,
                    reader.TokenType == JsonTokenType.PropertyName ? reader.GetString() : null));
            }
            if (read == 0) return;
            state = reader.CurrentState;
            var done = skipped + (int)reader.BytesConsumed;
            buffer.AsSpan(done, held - done).CopyTo(buffer);
            (offset, held) = (offset + done, held - done);
            if (held == buffer.Length) Array.Resize(ref buffer, checked(2 * buffer.Length)); // one token fills it
        }
    }
}
