using System.Text.RegularExpressions;

namespace Phi3VCluster.Architecture.Tests;

/// <summary>
/// The walls inside src/Training: its folders are siblings that do not see each other, Native decides nothing and so needs none of them,
/// and only Engine composes them. The contracts beside the folders belong to all and may lean on none.
/// </summary>
internal static partial class TrainingFolders
{
    public const string Folder = "src/Training/";

    private const string Namespace = "Phi3VCluster.Training";
    private const string Composer = "Engine";
    private const string OpenToAll = "Native";

    /// <summary>"path:line: text" of every mention of a namespace behind a wall.</summary>
    public static IEnumerable<string> Mentions(IReadOnlyList<SourceFile> files)
    {
        var folders = files.Select(FolderOf).Where(folder => folder.Length > 0).Distinct().ToList();
        var hidden = folders.Where(folder => folder != OpenToAll).ToDictionary(
            folder => folder, folder => Mention(folder, TypesIn(files.Where(file => FolderOf(file) == folder))));
        return from file in files
               let own = FolderOf(file)
               where own != Composer
               from other in hidden
               where other.Key != own
               from mention in file.MatchesInCode(other.Value)
               select mention;
    }

    /// <summary>Files whose namespace is not their folder's: they would stand on the wrong side of a wall.</summary>
    public static IEnumerable<string> Misplaced(IReadOnlyList<SourceFile> files) =>
        from file in files
        let expected = FolderOf(file) is { Length: > 0 } folder ? $"{Namespace}.{folder}" : Namespace
        from declared in DeclaredNamespace().Matches(file.Code).Select(match => match.Groups["name"].Value)
        where declared != expected && !(declared.StartsWith($"{expected}.", StringComparison.Ordinal) && expected != Namespace)
        select $"{file.Path}:1: {declared} should be {expected}";

    /// <summary>The folder directly under src/Training, or "" for a file beside the folders.</summary>
    private static string FolderOf(SourceFile file)
    {
        var inside = file.Path[Folder.Length..];
        return inside.Contains('/') ? inside[..inside.IndexOf('/')] : "";
    }

    /// <summary>The namespace in full, or from Training on, or, for its own types, by its last word alone.</summary>
    private static Regex Mention(string folder, IEnumerable<string> types)
    {
        var ownTypes = string.Join('|', types.Select(Regex.Escape).DefaultIfEmpty("(?!)"));
        return new($@"(?<![\w.])(?:global::)?(?:(?:Phi3VCluster\.)?Training\.{folder}\b|{folder}\.(?:{ownTypes})\b)[\w.]*");
    }

    private static IEnumerable<string> TypesIn(IEnumerable<SourceFile> files) =>
        files.SelectMany(file => DeclaredType().Matches(file.Code)).Select(match => match.Groups["name"].Value).Distinct();

    [GeneratedRegex(@"^\s*namespace\s+(?<name>[\w.]+)", RegexOptions.Multiline)]
    private static partial Regex DeclaredNamespace();

    [GeneratedRegex(@"\b(?:class|struct|interface|enum|record(?:\s+(?:class|struct))?)\s+(?<name>[A-Z]\w*)")]
    private static partial Regex DeclaredType();
}
