using System.Globalization;
using System.Text.Json;

namespace Phi3VCluster.Training.Data;

/// <summary>What the JSON reader found, as editors count: from 1.</summary>
internal static class JsonError
{
    /// <param name="withLine">Whether the line is of interest: not where the message names it already.</param>
    public static string Of(JsonException error, bool withLine = true)
    {
        var suffix = error.Message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        var what = (suffix < 0 ? error.Message : error.Message[..suffix]).TrimEnd('.');
        var place = string.Create(CultureInfo.InvariantCulture, $"byte {error.BytePositionInLine + 1}");
        return withLine ? string.Create(CultureInfo.InvariantCulture, $"{what}, line {error.LineNumber + 1}, {place}") : $"{what}, {place}";
    }
}
