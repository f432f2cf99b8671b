namespace Phi3VCluster.Samples;

/// <summary>Makes a folder appear complete or not at all: it is filled under another name and renamed.</summary>
internal static class NewFolder
{
    /// <param name="fill">Given the folder to write into.</param>
    /// <exception cref="IOException">The folder exists and is not empty.</exception>
    public static void Fill(string folder, Action<string> fill)
    {
        var target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any())
            throw new IOException($"{target}: the folder is not empty; choose a new one or delete it.");
        var partial = $"{target}.partial-{Guid.NewGuid():N}";
        Directory.CreateDirectory(partial);
        try
        {
            fill(partial);
            if (Directory.Exists(target)) Directory.Delete(target);
            Directory.Move(partial, target);
        }
        catch
        {
            Directory.Delete(partial, recursive: true);
            throw;
        }
    }
}
