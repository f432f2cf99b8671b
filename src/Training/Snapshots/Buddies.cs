namespace Phi3VCluster.Training.Snapshots;

/// <summary>
/// Who keeps a second copy of each rank's snapshots: a rank of another node, so that no node that dies takes both. Ranks of a node share
/// the others evenly. Where there is one node alone, another of its ranks: a seat may fail by itself.
/// </summary>
public static class Buddies
{
    /// <param name="nodes">Of the ranks, by rank.</param>
    /// <returns>By rank; null where there is nobody else.</returns>
    public static IReadOnlyList<int?> Of(IReadOnlyList<string> nodes)
    {
        var buddies = new int?[nodes.Count];
        foreach (var node in nodes.Distinct())
        {
            List<int> own = [.. Enumerable.Range(0, nodes.Count).Where(rank => nodes[rank] == node)];
            // From the ranks behind the node's first on, around: of nodes of one size each is the next one's.
            var around = Enumerable.Range(1, nodes.Count - 1).Select(i => (own[0] + i) % nodes.Count);
            List<int> others = [.. around.Where(rank => nodes[rank] != node)];
            for (var i = 0; i < own.Count; i++)
            {
                buddies[own[i]] = others.Count > 0 ? others[i % others.Count] : own.Count > 1 ? own[(i + 1) % own.Count] : null;
            }
        }
        return buddies;
    }
}
