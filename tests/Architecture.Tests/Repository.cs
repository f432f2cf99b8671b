namespace Phi3VCluster.Architecture.Tests;

/// <summary>The working tree these tests were built from.</summary>
internal static class Repository
{
    private const string Marker = "Phi3VCluster.sln";

    public static readonly string Root = FindRoot();

    private static readonly Lazy<IReadOnlyList<SourceFile>> AllText = new(() => [.. ReadText()]);

    /// <summary>Every file that is text and that .gitignore's folders do not hold.</summary>
    public static IReadOnlyList<SourceFile> TextFiles => AllText.Value;

    public static IEnumerable<SourceFile> CSharpFiles(string under = "") => TextFiles.Where(
        file => file.Path.StartsWith(under, StringComparison.Ordinal) && file.Path.EndsWith(".cs", StringComparison.Ordinal));

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, Marker)))
                return folder.FullName;
        throw new InvalidOperationException($"No {Marker} above {AppContext.BaseDirectory}; run these tests from a checkout.");
    }

    private static IEnumerable<SourceFile> ReadText()
    {
        var ignoredFolders = File.ReadLines(Path.Combine(Root, ".gitignore")).Where(line => line.EndsWith('/')).Select(line => line[..^1]);
        HashSet<string> ignored = [".git", .. ignoredFolders];
        var folders = new Stack<DirectoryInfo>([new DirectoryInfo(Root)]);
        while (folders.TryPop(out var folder))
        {
            foreach (var inner in folder.EnumerateDirectories().Where(d => !ignored.Contains(d.Name) && d.LinkTarget is null))
                folders.Push(inner);
            foreach (var file in folder.EnumerateFiles().Where(f => !ignored.Contains(f.Name)))
                if (File.ReadAllText(file.FullName) is var text && !text.Contains('\0'))
                    yield return new(Path.GetRelativePath(Root, file.FullName), text);
        }
    }
}
