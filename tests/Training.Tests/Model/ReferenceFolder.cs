namespace Phi3VCluster.Training.Tests.Model;

/// <summary>The folder of reference results, from PHI3V_FIXTURES or beside the repository.</summary>
internal static class ReferenceFolder
{
    public static string? Root { get; } = Find();

    /// <summary>Files below the folder, or a single null where there is none, so that a theory has a row to skip.</summary>
    public static IEnumerable<TheoryDataRow<string?>> Files(string subfolder, string pattern)
    {
        var folder = Root is null ? null : Path.Combine(Root, subfolder);
        return folder is null || !Directory.Exists(folder)
            ? [new(null)]
            : Directory.EnumerateFiles(folder, pattern).Order(StringComparer.Ordinal)
                .Select(path => new TheoryDataRow<string?>(Path.GetFileNameWithoutExtension(path)));
    }

    /// <summary>As <see cref="Files"/>, for subfolders that hold <paramref name="file"/>.</summary>
    public static IEnumerable<TheoryDataRow<string?>> Folders(string subfolder, string file)
    {
        var folder = Root is null ? null : Path.Combine(Root, subfolder);
        return folder is null || !Directory.Exists(folder)
            ? [new(null)]
            : Directory.EnumerateDirectories(folder).Where(path => File.Exists(Path.Combine(path, file))).Order(StringComparer.Ordinal)
                .Select(path => new TheoryDataRow<string?>(Path.GetFileName(path)));
    }

    public static string PathOf(params string[] parts) => Path.Combine([Root!, .. parts]);

    public static void SkipIfAbsent(object? row)
    {
        if (row is null) Assert.Skip("No reference results here; set PHI3V_FIXTURES to their folder.");
    }

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable("PHI3V_FIXTURES") is { Length: > 0 } set) return set;
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (!File.Exists(Path.Combine(folder.FullName, "Phi3VCluster.sln"))) continue;
            var beside = Path.GetFullPath(Path.Combine(folder.FullName, "..", "shared", "fixtures"));
            return Directory.Exists(beside) ? beside : null;
        }
        return null;
    }
}
