using System.Text.Encodings.Web;
using System.Text.Json;

namespace Phi3VCluster.Samples;

internal static class Json
{
    // For people: ▁ and < as themselves and not as \u2581 and \u003c.
    private static readonly JsonSerializerOptions OneLine = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonSerializerOptions Indented = new(OneLine) { WriteIndented = true };

    public static string Text(object value) => JsonSerializer.Serialize(value, Indented) + "\n";

    public static void Write(string path, object value) => File.WriteAllText(path, Text(value));

    public static void WriteLines(string path, IEnumerable<object> values) =>
        File.WriteAllLines(path, values.Select(value => JsonSerializer.Serialize(value, OneLine)));
}
