using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// How the samples lie in a file of JSON: one a line, as values over several lines, as one list, or as the one list inside an object
/// ({"data": [ … ]}).
/// </summary>
/// <param name="IsList">Samples are counted as rows from 0; else by their lines.</param>
internal sealed record JsonLayout(List<JsonSpan> Spans, bool IsList)
{
    /// <summary>Of a sample itself: an object with one of these is no wrapping.</summary>
    private static readonly string[] SampleKeys = ["conversations", "messages"];

    /// <exception cref="JsonException">A list, or values over several lines, are not JSON to their end.</exception>
    /// <exception cref="InputException">There are several lists.</exception>
    public static JsonLayout Find(SafeFileHandle file, string path)
    {
        if (JsonScan.FirstByte(file) == '[') return List(file);
        var lines = JsonLines.Find(file);
        if (lines.Count == 0) return new(lines, false);
        if (lines.Count > 1 && IsWhole(file, lines[0], orBroken: true)) return new(lines, false);
        try
        {
            return Values(file, path);
        }
        catch (JsonException) when (lines.Count > 1 && IsWhole(file, lines[1], orBroken: false))
        {
            return new(lines, false); // the first line alone is cut short
        }
    }

    /// <summary>One sample a line, whatever the lines hold.</summary>
    public static JsonLayout Lines(SafeFileHandle file) => new(JsonLines.Find(file), false);

    private static JsonLayout List(SafeFileHandle file)
    {
        var (items, begin) = (new List<JsonSpan>(), 0L);
        JsonScan.Run(file, deepest: 1, severalValues: false, token =>
        {
            if (token.Depth != 1) return;
            if (!token.Ends) begin = token.Begin;
            if (!token.Begins) items.Add(new(begin, checked((int)(token.End - begin)), 0));
        });
        return new(items, true);
    }

    /// <summary>Values one after the other; where there is one alone that is no sample, the list in it.</summary>
    private static JsonLayout Values(SafeFileHandle file, string path)
    {
        var (values, begin, lists) = (new List<JsonSpan>(), 0L, new Dictionary<string, List<JsonSpan>>());
        var (property, itemBegin) = ("", 0L);
        JsonScan.Run(file, deepest: 2, severalValues: true, token =>
        {
            if (token.Depth == 0)
            {
                if (!token.Ends) begin = token.Begin;
                if (!token.Begins) values.Add(new(begin, checked((int)(token.End - begin)), 0));
            }
            if (values.Count > 0) return;
            if (token is { Depth: 1, Property: { } name }) property = name;
            if (token is { Depth: 1, Type: JsonTokenType.StartArray }) lists[property] = [];
            if (token is { Depth: 2, Type: JsonTokenType.StartObject }) itemBegin = token.Begin;
            if (token is { Depth: 2, Type: JsonTokenType.EndObject } && lists.TryGetValue(property, out var items))
                items.Add(new(itemBegin, checked((int)(token.End - itemBegin)), 0));
        });
        if (values.Count != 1 || lists.Keys.Any(SampleKeys.Contains)) return new(WithLines(file, values), false);
        var found = lists.Where(list => list.Value.Count > 0).ToList();
        return found.Count switch
        {
            0 when lists.Keys.Any(key => !PictureKeys.MeansPictures(key, hasPictures: false)) => new([], true),
            0 => new(WithLines(file, values), false),
            1 => new(found[0].Value, true),
            _ => throw new InputException($"{path}: is one JSON object with several lists, got "
                + $"{Shown.Value(string.Join(", ", found.Select(list => list.Key)))}; write the samples of one into a file."),
        };
    }

    private static List<JsonSpan> WithLines(SafeFileHandle file, List<JsonSpan> values)
    {
        var (buffer, at, line) = (new byte[1 << 20], 0L, 1);
        return values.ConvertAll(value =>
        {
            while (at < value.Offset)
            {
                var read = RandomAccess.Read(file, buffer.AsSpan(0, (int)Math.Min(buffer.Length, value.Offset - at)), at);
                if (read == 0) break;
                line += buffer.AsSpan(0, read).Count((byte)'\n');
                at += read;
            }
            return value with { Line = line };
        });
    }

    /// <summary>Whether a line is a sample from its beginning to its end, and not merely the first of several lines.</summary>
    /// <param name="orBroken">Or begins as one and is not JSON: the others may be good.</param>
    private static bool IsWhole(SafeFileHandle file, JsonSpan line, bool orBroken)
    {
        var bytes = Bytes(file, line, line.Length);
        var reader = new Utf8JsonReader(PythonNumbers.Mended(bytes) ?? bytes, isFinalBlock: false, default);
        try
        {
            var depth = -1;
            while (reader.Read()) depth = reader.CurrentDepth;
            return depth == 0 && reader.TokenType is (JsonTokenType.EndObject or JsonTokenType.EndArray);
        }
        catch (JsonException)
        {
            return orBroken && FirstOf(file, line) == '{';
        }
    }

    private static byte FirstOf(SafeFileHandle file, JsonSpan line) =>
        Bytes(file, line, 256).AsSpan().TrimStart(" \t\r"u8) is [var first, ..] ? first : (byte)0;

    private static byte[] Bytes(SafeFileHandle file, JsonSpan span, int most)
    {
        var bytes = new byte[Math.Min(span.Length, most)];
        return bytes[..RandomAccess.Read(file, bytes, span.Offset)];
    }
}
