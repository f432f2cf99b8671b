using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>Finds the files that a spec's path or glob (as <see cref="FilePattern"/> reads it) means.</summary>
internal static class DataFiles
{
    private static readonly char[] Wildcards = ['*', '?'];

    /// <returns>Paths in ordinal order of their names, so that a row's index is the same on every machine.</returns>
    /// <exception cref="InputException">There is no such file.</exception>
    public static IReadOnlyList<string> Find(DataSpec spec, string pathOrGlob)
    {
        if (pathOrGlob.Length == 0) throw new InputException($"{Setting(spec, pathOrGlob)}: is empty; give a file or glob.");
        if (File.Exists(pathOrGlob)) return [pathOrGlob];
        if (pathOrGlob.IndexOfAny(Wildcards) < 0)
            throw new InputException($"{Setting(spec, pathOrGlob)}: no such file, got {pathOrGlob}{Instead(pathOrGlob)}; "
                + "give a file or glob.");
        var files = FilePattern.Match(pathOrGlob);
        return files.Count > 0
            ? files
            : throw new InputException($"{Setting(spec, pathOrGlob)}: no file matches, got {pathOrGlob}; give a file or glob.");
    }

    /// <summary>The spec's key that holds this path, for messages.</summary>
    public static string Setting(DataSpec spec, string pathOrGlob) =>
        pathOrGlob == spec.Eval && pathOrGlob != spec.Train ? "data.eval" : "data.train";

    /// <summary>The folder that relative image paths start from.</summary>
    public static string ImageRoot(DataSpec spec, string file) => spec.ImageRoot ?? Path.GetDirectoryName(Path.GetFullPath(file))!;

    private static string Instead(string path)
    {
        if (Directory.Exists(path)) return ", a folder";
        var folder = Path.GetDirectoryName(Path.GetFullPath(path));
        if (!Directory.Exists(folder)) return $" (nor the folder {folder})";
        var others = Directory.EnumerateFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal).Take(6).ToList();
        return others.Count == 0 ? " (its folder is empty)" : $" (its folder has {string.Join(", ", others)})";
    }
}
