using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>Samples of a file of own data.</summary>
/// <param name="parse">Makes a sample of a row, or notes in the <see cref="JsonRow"/> why it cannot.</param>
internal sealed class JsonReader(JsonRows rows, DataSpec spec, string path, Func<JsonElement, JsonRow, Sample?> parse) : IDatasetReader
{
    private readonly string _imageRoot = DataFiles.ImageRoot(spec, path);

    public int Count => rows.Count;

    public RowPlace Place(int index) => rows.Place(index);

    public Sample Read(int index)
    {
        var row = new JsonRow($"{Place(index)}", _imageRoot, spec.ExifRotate);
        var bytes = rows.Read(index);
        try
        {
            using var document = Document(bytes);
            if (parse(document.RootElement, row) is { } sample && row.Problems.Count == 0) return sample;
        }
        catch (JsonException e)
        {
            row.Refuse(!Utf8.IsValid(bytes) ? NotUtf8(bytes)
                : $"not JSON ({JsonError.Of(e, withLine: false)}); mend the line or take it out.");
        }
        catch (InvalidOperationException e) // what a text is decoded to only shows when it is taken
        {
            row.Refuse(Utf8.IsValid(bytes) ? $"a text is not Unicode ({e.Message}); save the file as UTF-8." : NotUtf8(bytes));
        }
        throw new BadRowException(row.Problems);
    }

    public void Dispose() => rows.Dispose();

    private static JsonDocument Document(byte[] bytes)
    {
        try
        {
            return JsonDocument.Parse(bytes);
        }
        catch (JsonException) when (PythonNumbers.Mended(bytes) is { } mended)
        {
            return JsonDocument.Parse(mended);
        }
    }

    private static string NotUtf8(byte[] bytes)
    {
        var at = FirstInvalid(bytes);
        return $"is not UTF-8 (byte 0x{bytes[at]:X2} at {at + 1}), it looks like Latin-1 or Windows-1252; "
            + "save the file as UTF-8 (iconv -f WINDOWS-1252 -t UTF-8).";
    }

    private static int FirstInvalid(ReadOnlySpan<byte> bytes)
    {
        for (var at = 0; at < bytes.Length;)
        {
            if (Rune.DecodeFromUtf8(bytes[at..], out _, out var length) != OperationStatus.Done) return at;
            at += length;
        }
        return 0;
    }
}
