using System.Text.Json;
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
        try
        {
            using var document = JsonDocument.Parse(rows.Read(index));
            if (parse(document.RootElement, row) is { } sample && row.Problems.Count == 0) return sample;
        }
        catch (JsonException e)
        {
            row.Refuse($"not JSON ({e.Message}); mend the line or take it out.");
        }
        catch (InvalidOperationException e) // what a text is decoded to only shows when it is taken
        {
            row.Refuse($"a text is not Unicode ({e.Message}); save the file as UTF-8.");
        }
        throw new BadRowException(row.Problems);
    }

    public void Dispose() => rows.Dispose();
}
