using System.IO.Enumeration;

namespace Phi3VCluster.Spec;

/// <summary>A file, or a glob whose segments may hold * and ? (and ** for any folders), as in <c>data.train</c>.</summary>
public static class FilePattern
{
    /// <summary>The files it names, in ordinal order; none, when nothing matches.</summary>
    public static IReadOnlyList<string> Match(string pattern)
    {
        if (File.Exists(pattern)) return [pattern];
        if (!pattern.Contains('*') && !pattern.Contains('?')) return [];
        var segments = pattern.Split(Path.DirectorySeparatorChar);
        IEnumerable<string> folders = [Path.IsPathRooted(pattern) ? Path.DirectorySeparatorChar.ToString() : "."];
        foreach (var segment in segments[..^1].Where(s => s.Length > 0)) folders = folders.SelectMany(f => Folders(f, segment)).Distinct();
        return [.. folders.SelectMany(f => Entries(f, segments[^1], Directory.EnumerateFiles)).Order(StringComparer.Ordinal)];
    }

    private static IEnumerable<string> Folders(string folder, string segment) => segment switch
    {
        "**" => Directory.EnumerateDirectories(folder, "*", Readable(recurse: true)).Prepend(folder),
        _ when segment.Contains('*') || segment.Contains('?') => Entries(folder, segment, Directory.EnumerateDirectories),
        _ => Directory.Exists(Path.Combine(folder, segment)) ? [Path.Combine(folder, segment)] : [],
    };

    private static IEnumerable<string> Entries(
        string folder, string segment, Func<string, string, EnumerationOptions, IEnumerable<string>> enumerate) =>
        enumerate(folder, "*", Readable(recurse: false))
            .Where(e => FileSystemName.MatchesSimpleExpression(segment, Path.GetFileName(e), ignoreCase: false));

    private static EnumerationOptions Readable(bool recurse) => new() { RecurseSubdirectories = recurse, IgnoreInaccessible = true };
}
