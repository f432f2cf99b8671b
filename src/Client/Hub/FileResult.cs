namespace Phi3VCluster.Client.Hub;

internal enum FileState
{
    Downloaded,
    /// <summary>It was there already, and is right.</summary>
    Present,
    /// <summary>What an earlier command had fetched of it was kept.</summary>
    Resumed,
    Failed,
}

/// <param name="Error">Why it failed; else null.</param>
internal sealed record FileResult(HubFile File, FileState State, string? Error = null);
