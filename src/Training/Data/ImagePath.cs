using System.Text.RegularExpressions;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>Where an image lies, as data files write it: paths, back slashes, file:// addresses; what lies elsewhere is refused.</summary>
internal static partial class ImagePath
{
    private const int LongestPath = 4096, ShortestBase64 = 256;

    /// <summary>A path for this machine, or null and why there is none, with what to do.</summary>
    public static string? Of(string root, string name, out string problem)
    {
        problem = "";
        if (Scheme().Match(name) is { Success: true } match)
        {
            var scheme = match.Groups[1].Value.ToLowerInvariant();
            if (scheme == "file" && Uri.TryCreate(name, UriKind.Absolute, out var address)) return address.LocalPath;
            problem = $"is an address on the {(scheme is "http" or "https" ? "web" : "net")}, which is not fetched, "
                + $"got {Shown.Value(name)}; "
                + "download the picture and write its path";
        }
        else if (name.Length >= ShortestBase64 && Base64().IsMatch(name))
            problem = $"looks like base64, got {Shown.Value(name)}; "
                + "write data:image/png;base64, in front of it, or save the picture as a file";
        else if (name.Length > LongestPath || name.Contains('\0', StringComparison.Ordinal))
            problem = $"is no path, got {Shown.Value(name.Replace("\0", "\\0", StringComparison.Ordinal))}; "
                + "write the path of an image file";
        else if (name.Contains('\\', StringComparison.Ordinal) && !File.Exists(Path.Combine(root, name)))
            return DrivePath().IsMatch(name) ? Refused(name, out problem) : name.Replace('\\', '/');
        return problem.Length == 0 ? name : null;
    }

    private static string? Refused(string name, out string problem)
    {
        problem = $"is a path of a Windows machine, got {Shown.Value(name)}; "
            + "write a path below the data file's folder, or below data.imageRoot";
        return null;
    }

    [GeneratedRegex("^([A-Za-z][A-Za-z0-9+.-]+)://")]
    private static partial Regex Scheme();

    [GeneratedRegex(@"^[A-Za-z0-9+/_\r\n-]+={0,2}\s*$")]
    private static partial Regex Base64();

    [GeneratedRegex(@"^([A-Za-z]:\\|\\\\)")]
    private static partial Regex DrivePath();
}
