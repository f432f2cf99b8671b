namespace Phi3VCluster.Training.Checkpoints;

/// <summary>A folder of results that is there whole or not at all, whenever the process dies and whatever the disk says.</summary>
public static class WholeFolder
{
    /// <summary>Fills a folder beside <paramref name="folder"/>, then puts it in its place.</summary>
    /// <param name="fill">Is given the folder to write into.</param>
    /// <exception cref="IOException">The disk refused; what was there before is there still.</exception>
    public static void Write(string folder, Action<string> fill)
    {
        var mark = Guid.NewGuid().ToString("N")[..8];
        var (partial, old) = ($"{folder}.partial-{mark}", $"{folder}.old-{mark}");
        try
        {
            Directory.CreateDirectory(partial);
            fill(partial);
            if (Directory.Exists(folder)) Directory.Move(folder, old);
            Directory.Move(partial, folder);
            if (Directory.Exists(old)) Directory.Delete(old, recursive: true);
        }
        finally
        {
            if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true); // left only by a failure
        }
    }
}
