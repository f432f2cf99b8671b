namespace Phi3VCluster.Spec;

/// <summary>Paths as people write them, in a spec or as an option.</summary>
public static class UserPath
{
    /// <summary>A leading <c>~</c> is the home folder, as in a shell, which has not seen what stands in a file or behind a colon.</summary>
    public static string Expand(string path) => path == "~" || path.StartsWith("~/", StringComparison.Ordinal)
        ? Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify) + path[1..]
        : path;

    /// <summary>From the current folder on. An empty path stays empty, to be refused.</summary>
    public static string Absolute(string path) => string.IsNullOrWhiteSpace(path) ? path : Path.GetFullPath(Expand(path));
}
