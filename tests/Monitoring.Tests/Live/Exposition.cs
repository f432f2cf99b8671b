using System.Text.RegularExpressions;

namespace Phi3VCluster.Monitoring.Tests.Live;

/// <summary>What a silo answered at <c>/metrics</c>.</summary>
internal static partial class Exposition
{
    public static async Task<string> ReadAsync(int httpPort)
    {
        using var http = new HttpClient();
        return await http.GetStringAsync($"http://127.0.0.1:{httpPort}/metrics");
    }

    /// <summary>Each series' name and labels.</summary>
    public static IEnumerable<(string Name, IReadOnlyList<string> Labels)> Series(string text) =>
        Line().Matches(text).Select(line => (line.Groups["name"].Value,
            (IReadOnlyList<string>)[.. LabelName().Matches(line.Groups["labels"].Value).Select(label => label.Groups["label"].Value)]));

    [GeneratedRegex(@"^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?<labels>.*)\})? [^ ]+$", RegexOptions.Multiline)]
    private static partial Regex Line();

    [GeneratedRegex(@"(?<label>[a-zA-Z_][a-zA-Z0-9_]*)=""(?:[^""\\]|\\.)*""")]
    private static partial Regex LabelName();
}
