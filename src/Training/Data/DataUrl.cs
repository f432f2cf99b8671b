using System.Buffers.Text;
using System.Text;

namespace Phi3VCluster.Training.Data;

/// <summary>A picture inside a text: <c>data:image/png;base64,…</c>.</summary>
internal static class DataUrl
{
    private const string Base64 = ";base64";

    public static bool Is(string text) => text.StartsWith("data:", StringComparison.OrdinalIgnoreCase);

    /// <summary>Its bytes, or null and why there are none.</summary>
    public static byte[]? Bytes(string url, out string problem)
    {
        problem = "";
        var comma = url.IndexOf(',', StringComparison.Ordinal);
        if (comma < 0 || !url.AsSpan(0, comma).EndsWith(Base64, StringComparison.OrdinalIgnoreCase))
            problem = "is a data: URL without ;base64 and a comma";
        else if (Decoded(url.AsSpan(comma + 1).Trim()) is not { } bytes) problem = "is a data: URL whose base64 is broken";
        else if (bytes.Length == 0) problem = "is an empty data: URL";
        else return bytes;
        return null;
    }

    private static byte[]? Decoded(ReadOnlySpan<char> text)
    {
        var bytes = new byte[text.Length / 4 * 3 + 3];
        if (Convert.TryFromBase64Chars(text, bytes, out var count)) return bytes[..count];
        var ascii = new byte[text.Length]; // the alphabet of URLs, or without its padding
        return Encoding.ASCII.TryGetBytes(text, ascii, out _) && Base64Url.IsValid(ascii, out var length) && length <= bytes.Length
            && Base64Url.TryDecodeFromUtf8(ascii, bytes, out count) ? bytes[..count] : null;
    }
}

/// <summary>An image whose bytes came with its row.</summary>
internal sealed class RowImage(byte[] bytes, string description, bool isTurnedUpright) : IImageSource
{
    public string Description => description;
    public bool IsTurnedUpright => isTurnedUpright;

    public byte[] Read() => bytes;
}
