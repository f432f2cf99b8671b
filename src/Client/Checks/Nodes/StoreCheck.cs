using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Checks.Nodes;

/// <summary>Where the cluster's state is kept: how far it is from each node, and whether the node may write there.</summary>
internal static class StoreCheck
{
    private const double Milli = 1000;
    private const int MostNamed = 8;

    /// <returns>Null where no node answers.</returns>
    public static CheckRow? Row(IReadOnlyList<(string Node, StoreFinding Store)> found)
    {
        if (found.Count == 0) return null;
        var bad = found.Where(one => one.Store.Problem is not null).ToArray();
        return bad.Length == 0
            ? new("nodes' store", true, string.Join("; ", found.GroupBy(one => one.Store.Name).Select(Written)))
            : new("nodes' store", false, $"{ByNode.Say(bad.Select(one => (one.Node, $"{one.Store.Name}: {one.Store.Problem}")))}; "
                + "see that it is up, has room, and lets the silos' user write");
    }

    private static string Written(IGrouping<string, (string Node, StoreFinding Store)> store) => $"{store.Key}: written; there and back "
        + ByNode.Some([.. store.Select(one => $"{one.Node} {one.Store.RoundTripSeconds * Milli:0.0} ms")], MostNamed, ", ");
}
