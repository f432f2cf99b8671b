namespace Phi3VCluster.Client.Hub;

/// <summary>A file of a commit, and what its bytes must be.</summary>
/// <param name="Path">From the repository's root, with slashes.</param>
/// <param name="Sha256">Of the bytes, if the file is in large file storage; else null.</param>
/// <param name="GitOid">git's id of the bytes, for the others; null where there is a <paramref name="Sha256"/>.</param>
internal sealed record HubFile(string Path, long Size, string? Sha256, string? GitOid)
{
    /// <summary>What the hub calls the bytes.</summary>
    public string Hash => Sha256 ?? GitOid!;
}
