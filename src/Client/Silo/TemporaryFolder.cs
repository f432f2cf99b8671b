using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Silo;

/// <summary>Where a silo keeps what goes with it. Job templates of clusters often set TMPDIR to a folder that nobody makes.</summary>
internal static class TemporaryFolder
{
    /// <returns>What is wrong with it; null where it can be written to.</returns>
    public static string? Problem()
    {
        var folder = Path.GetTempPath();
        var name = Environment.GetEnvironmentVariable("TMPDIR") is { Length: > 0 } ? "TMPDIR" : "the temporary folder";
        if (!Directory.Exists(folder)) return $"{name}: no such folder, got {folder}; make it, or set TMPDIR to one that is there.";
        return RunSpecFiles.Problems(new RunSpec { Output = folder }) is { Count: > 0 }
            ? $"{name}: cannot be written to, got {folder}; set TMPDIR to a folder that can."
            : null;
    }

    /// <exception cref="InputException">It cannot be used.</exception>
    public static void Check()
    {
        if (Problem() is { } problem) throw new InputException(problem);
    }
}
