namespace Phi3VCluster.Silo.Http;

/// <summary>A run's folder of results, which not every silo sees.</summary>
/// <param name="Node">The node that looks.</param>
internal sealed record RunOutput(string Run, string Node, string Folder)
{
    /// <summary>Why there is nothing to be read here; null where there may be.</summary>
    public string? Problem => Directory.Exists(Folder) ? null
        : $"{Node} does not see {Folder}: the run has written nothing yet, or into a folder of other nodes; ask one of theirs, "
            + "or use a folder that all share.";

    /// <summary>One of the run's own files; its name is never a caller's.</summary>
    public string At(string file) => Path.Combine(Folder, file);
}
