namespace Phi3VCluster.Spec;

/// <summary>What is wrong with the files that a spec names, seen from this machine. Reads nothing but folders.</summary>
public static class RunSpecFiles
{
    /// <summary>Values that are missing altogether are left to <see cref="RunSpecValidation"/>.</summary>
    public static IReadOnlyList<string> Problems(RunSpec spec) =>
    [
        .. Model(spec.Model.Path), .. Samples("data.train", spec.Data.Train), .. Samples("data.eval", spec.Data.Eval),
        .. Folder("data.imageRoot", spec.Data.ImageRoot, "the folder that the samples' image paths start from"),
        .. Adapter(spec.Method.Adapter),
        .. Output(spec.Output),
    ];

    private static IEnumerable<string> Model(string path)
    {
        if (string.IsNullOrWhiteSpace(path)) yield break;
        if (GivenFolder.ModelProblem(path) is { } problem) yield return $"model.path: {problem}";
        if (Directory.Exists(path) && FilePattern.Match(Path.Combine(path, "*.safetensors")).Count == 0)
            yield return $"model.path: the folder has no *.safetensors, got {path}; download the weights into it.";
    }

    private static IEnumerable<string> Samples(string key, string? pattern)
    {
        if (string.IsNullOrWhiteSpace(pattern)) yield break;
        if (GivenFolder.SamplesProblem(pattern) is { } problem) yield return $"{key}: {problem}";
        foreach (var file in FilePattern.Match(pattern).Where(IsNoFile))
            yield return $"{key}: is a device or a pipe, which cannot be read twice, got {file}; give a file on disk.";
    }

    private static IEnumerable<string> Adapter(string? path)
    {
        if (!string.IsNullOrWhiteSpace(path) && GivenFolder.AdapterProblem(path) is { } problem) yield return $"method.adapter: {problem}";
    }

    /// <summary>Devices, and pipes such as a shell's &lt;(…), stand in these folders; they may have no end.</summary>
    private static bool IsNoFile(string path)
    {
        var full = Path.GetFullPath(path);
        return (File.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full) is var target
            && ((string[])["/dev/", "/proc/", "/sys/"]).Any(folder =>
                full.StartsWith(folder, StringComparison.Ordinal) || target.StartsWith(folder, StringComparison.Ordinal))
            && !full.StartsWith("/dev/shm/", StringComparison.Ordinal);
    }

    /// <summary>With the folder that was searched, where it was not given.</summary>
    internal static string Shown(string path) => Path.IsPathRooted(path) ? path : $"{path} (in {Environment.CurrentDirectory})";

    private static IEnumerable<string> Folder(string key, string? path, string what)
    {
        if (!string.IsNullOrWhiteSpace(path) && !Directory.Exists(path))
            yield return $"{key}: no such folder, got {Shown(path)}; give {what}.";
    }

    private static IEnumerable<string> Output(string path)
    {
        if (string.IsNullOrWhiteSpace(path)) yield break;
        // The first ancestor that exists decides, without leaving a folder behind for a run that may not start.
        var existing = Path.GetFullPath(path);
        while (!Path.Exists(existing)) existing = Path.GetDirectoryName(existing)!;
        if (File.Exists(existing)) yield return $"output: {existing} is a file, got {path}; give a folder.";
        else if (!Writable(existing)) yield return $"output: {existing} cannot be written to, got {path}; give another folder.";
    }

    /// <summary>Whether an existing folder refuses new files.</summary>
    public static bool IsReadOnly(string folder) => !Writable(folder);

    private static bool Writable(string folder)
    {
        try
        {
            using var probe = new FileStream(
                Path.Combine(folder, $".phi3v-{Guid.NewGuid():N}"),
                FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
