using System.Text.Json;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Checkpoints;

/// <param name="OffsetBytes">From the start of the data, which follows the header.</param>
internal sealed record SafeTensorsEntry(TensorInfo Info, ScalarType Type, long OffsetBytes, long SizeBytes);

/// <summary>
/// Reads a safetensors header as strictly as the format is meant: tensors fill the data without gaps or overlaps. A file comes from
/// anywhere, so that nothing in it is believed before it is checked.
/// </summary>
internal static class SafeTensorsHeader
{
    /// <summary>The format's own limit on the JSON's length.</summary>
    public const long LargestJsonBytes = 100_000_000;

    /// <param name="json">The header.</param>
    /// <param name="dataBytes">Length of what follows it in the file.</param>
    /// <param name="problems">Receives what is wrong; the result is good only when nothing was added.</param>
    public static List<SafeTensorsEntry> Parse(
        ReadOnlyMemory<byte> json, long dataBytes, Dictionary<string, string> metadata, List<string> problems)
    {
        var entries = new List<SafeTensorsEntry>();
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                problems.Add("its header is not a JSON object");
                return entries;
            }
            var names = new HashSet<string>(StringComparer.Ordinal);
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (!names.Add(property.Name)) problems.Add($"its header names {property.Name} twice");
                else if (property.Name == "__metadata__") ReadMetadata(property.Value, metadata, problems);
                else if (Entry(property.Name, property.Value, dataBytes, problems) is { } entry) entries.Add(entry);
            }
        }
        catch (JsonException)
        {
            problems.Add("its header is not JSON");
        }
        if (problems.Count == 0) CheckCoverage(entries, dataBytes, problems);
        return entries;
    }

    private static void ReadMetadata(JsonElement value, Dictionary<string, string> metadata, List<string> problems)
    {
        if (value.ValueKind != JsonValueKind.Object || value.EnumerateObject().Any(pair => pair.Value.ValueKind != JsonValueKind.String))
        {
            problems.Add("its __metadata__ is not an object of strings");
            return;
        }
        foreach (var pair in value.EnumerateObject()) metadata[pair.Name] = pair.Value.GetString()!;
    }

    private static SafeTensorsEntry? Entry(string name, JsonElement value, long dataBytes, List<string> problems)
    {
        if (value.ValueKind != JsonValueKind.Object
            || !value.TryGetProperty("dtype", out var dtype) || dtype.ValueKind != JsonValueKind.String
            || !value.TryGetProperty("shape", out var shapeJson) || Numbers(shapeJson) is not { } shape
            || !value.TryGetProperty("data_offsets", out var offsetsJson) || Numbers(offsetsJson) is not [var begin, var end])
        {
            problems.Add($"{name}: needs a dtype, a shape and two data_offsets of whole numbers from 0 up");
            return null;
        }
        if (StoredType.Find(dtype.GetString()!) is not { } type)
        {
            problems.Add($"{name}: dtype {dtype.GetString()} is not supported");
            return null;
        }
        if (begin > end || end > dataBytes)
        {
            problems.Add($"{name}: bytes {begin} to {end} are not within the file's {dataBytes} bytes of data");
            return null;
        }
        if (ByteCount(shape, type.ElementBytes) is not { } size || size != end - begin)
        {
            problems.Add($"{name}: {dtype.GetString()} [{string.Join(", ", shape)}] does not fit its {end - begin} bytes");
            return null;
        }
        return new(new(name, shape), type.Type, begin, size);
    }

    private static long[]? Numbers(JsonElement list)
    {
        if (list.ValueKind != JsonValueKind.Array) return null;
        var numbers = new List<long>();
        foreach (var item in list.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out var number) || number < 0) return null;
            numbers.Add(number);
        }
        return [.. numbers];
    }

    private static long? ByteCount(long[] shape, int elementBytes)
    {
        try
        {
            return checked(shape.Aggregate((long)elementBytes, (product, size) => checked(product * size)));
        }
        catch (OverflowException)
        {
            return null;
        }
    }

    private static void CheckCoverage(List<SafeTensorsEntry> entries, long dataBytes, List<string> problems)
    {
        long covered = 0;
        foreach (var entry in entries.OrderBy(e => e.OffsetBytes).ThenBy(e => e.SizeBytes))
        {
            if (entry.OffsetBytes < covered) problems.Add($"{entry.Info.Name}: overlaps the tensor before it");
            if (entry.OffsetBytes > covered)
                problems.Add($"{entry.Info.Name}: {entry.OffsetBytes - covered} bytes before it belong to no tensor");
            covered = Math.Max(covered, entry.OffsetBytes + entry.SizeBytes);
        }
        if (covered != dataBytes) problems.Add($"its last {dataBytes - covered} bytes belong to no tensor");
    }
}
