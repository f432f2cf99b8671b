using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Native;

/// <summary>Files made once for this machine and used by all processes: a patched library, compiled kernels.</summary>
internal static class NativeCache
{
    public static string Folder => Path.Combine(Root(), "phi3vcluster", "native");

    /// <summary>Written aside and renamed: several processes may start at once, and the last rename wins.</summary>
    public static void Keep(string path, byte[] bytes)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        AtomicFile.Write(path, bytes);
    }

    private static string Root()
    {
        var root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (!string.IsNullOrEmpty(root)) return root;
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return home.Length > 0 ? Path.Combine(home, ".cache") : Path.GetTempPath();
    }
}
