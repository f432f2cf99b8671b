using System.Text.Json;
using System.Text.RegularExpressions;

namespace Phi3VCluster.Training.Data;

/// <summary>
/// Keys that mean pictures. Forms of data differ in where they put them, and a key that is passed over trains a model on text alone.
/// </summary>
internal static partial class PictureKeys
{
    /// <summary>Names of keys that hold something and say pictures, but are none of those that are read.</summary>
    /// <param name="hasPictures">Whether the row has some by the keys that are read: image_url then says where they came from.</param>
    public static IEnumerable<string> Unread(JsonElement from, bool hasPictures, params IReadOnlyList<string> read)
    {
        if (from.ValueKind != JsonValueKind.Object) return [];
        return from.EnumerateObject()
            .Where(one => !read.Contains(one.Name) && HoldsSomething(one.Value) && MeansPictures(one.Name, hasPictures))
            .Select(one => one.Name);
    }

    /// <param name="hasPictures">Whether there are some besides: then only plain words do.</param>
    public static bool MeansPictures(string key, bool hasPictures)
    {
        var word = key.Replace("_", "", StringComparison.Ordinal).Replace("-", "", StringComparison.Ordinal).ToLowerInvariant();
        return hasPictures ? Plainly().IsMatch(word) : Somehow().IsMatch(word);
    }

    private static bool HoldsSomething(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!.Length > 0,
        JsonValueKind.Array => value.GetArrayLength() > 0,
        JsonValueKind.Object => value.EnumerateObject().Any(),
        _ => false,
    };

    [GeneratedRegex("^(image|img|picture|photo|video)s?$")]
    private static partial Regex Plainly();

    [GeneratedRegex("^(input|source|page|sample|local)?(image|img|pic|picture|photo|photograph|video|pixelvalue)s?"
        + "(path|file|filename|filepath|name|url|uri|link|src|b64|base64|byte|data|list|input|content)?s?[0-9]*$")]
    private static partial Regex Somehow();
}
