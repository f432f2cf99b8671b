using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Checks.Nodes;

/// <summary>
/// Whether the nodes see one and the same folder of results: each has left a token there and looks for all. A run that goes on elsewhere
/// finds its checkpoints only there.
/// </summary>
internal static class SharedFolder
{
    /// <returns>By node, which tokens it sees, as a text that is the same for nodes of one folder.</returns>
    public static async Task<IReadOnlyList<(string Node, string Seen)>> SeeAsync(
        IEnumerable<NodeCalls> nodes, IReadOnlyList<(string Node, DiskFinding Disk)> disks, CancellationToken interrupted)
    {
        string[] tokens = [.. disks.Select(one => one.Disk.Token).OfType<string>()];
        var writers = disks.Where(one => one.Disk.Token is not null).Select(one => one.Node).ToHashSet();
        var seen = await NodeChecks.Each(nodes.Where(node => writers.Contains(node.Name)),
            node => node.AskAsync(grain => grain.SeeAsync(tokens), interrupted));
        return [.. seen.Select(one => (one.Node, string.Concat(one.Said.Select(sees => sees ? '1' : '0'))))];
    }

    /// <returns>Null where fewer than two nodes can write at all.</returns>
    public static CheckRow? Row(string folder, IReadOnlyList<(string Node, string Seen)> seen)
    {
        if (seen.Count < 2) return null;
        string[] groups = [.. seen.GroupBy(one => one.Seen).Select(same => ByNode.Names(same.Select(one => one.Node)))];
        return groups.Length == 1
            ? new("nodes' folder", true, $"all see the same {folder}")
            : new("nodes' folder", false, $"{folder} is not the same folder on {string.Join(" | ", groups)}; "
                + "mount one file system there on all nodes, or a run that goes on elsewhere does not find its checkpoints");
    }
}
