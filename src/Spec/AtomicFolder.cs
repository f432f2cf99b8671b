using System.Globalization;

namespace Phi3VCluster.Spec;

/// <summary>
/// Makes a folder appear complete or not at all, whenever the process dies and whatever the disk says: it is filled under another name and
/// renamed. What a killed process left of that is removed by the next that fills the same folder.
/// </summary>
public static class AtomicFolder
{
    private const string Middle = ".partial-", LockName = ".being-written";

    private static readonly TimeSpan UnlockedFor = TimeSpan.FromMinutes(1); // a live one is without its lock for moments only

    /// <param name="fill">Given the folder to write into.</param>
    /// <returns>Sentences about what an earlier process had left.</returns>
    /// <exception cref="IOException">The folder exists and is not empty, or cannot be written.</exception>
    public static IReadOnlyList<string> Fill(string folder, Action<string> fill)
    {
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
            throw new IOException($"{Path.GetFullPath(folder)}: the folder is not empty; choose a new one or delete it.");
        return Replace(folder, fill);
    }

    /// <summary>As <see cref="Fill"/>; what was in the folder before is there until the new is whole.</summary>
    public static IReadOnlyList<string> Replace(string folder, Action<string> fill)
    {
        var target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var removed = RemoveLeftovers(target);
        var partial = $"{target}{Middle}{Guid.NewGuid():N}";
        Directory.CreateDirectory(partial);
        try
        {
            using (Hold(partial, FileMode.CreateNew)) fill(partial);
            var old = $"{target}{Middle}{Guid.NewGuid():N}"; // a process that dies here leaves it to the next
            if (Directory.Exists(target)) Directory.Move(target, old);
            Directory.Move(partial, target);
            if (Directory.Exists(old)) Directory.Delete(old, recursive: true);
        }
        finally
        {
            if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true); // left only by a failure
        }
        return removed;
    }

    private static List<string> RemoveLeftovers(string target)
    {
        var removed = new List<string>();
        var parent = Path.GetDirectoryName(target);
        if (parent is null || !Directory.Exists(parent)) return removed;
        foreach (var folder in Directory.EnumerateDirectories(parent, Path.GetFileName(target) + Middle + "*").Where(IsAbandoned))
        {
            try
            {
                var bytes = new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
                Directory.Delete(folder, recursive: true);
                removed.Add(string.Create(CultureInfo.InvariantCulture,
                    $"{folder}: was left by a command that was killed, {bytes / 1e6:0.#} MB; it has been removed."));
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                removed.Add($"{folder}: was left by a command that was killed and cannot be removed ({error.Message}); delete it.");
            }
        }
        return removed;
    }

    /// <summary>Whoever fills a folder holds its lock, and the system lets go of a killed process's locks.</summary>
    private static bool IsAbandoned(string folder)
    {
        if (!File.Exists(Path.Combine(folder, LockName))) return DateTime.UtcNow - Directory.GetLastWriteTimeUtc(folder) > UnlockedFor;
        try
        {
            Hold(folder, FileMode.Open).Dispose();
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static FileStream Hold(string folder, FileMode mode) =>
        new(Path.Combine(folder, LockName), mode, FileAccess.ReadWrite, FileShare.None, bufferSize: 1, FileOptions.DeleteOnClose);
}
