namespace Phi3VCluster.Client.Checks.Nodes;

/// <summary>What is said of nodes in a row: those of which the same is said stand together.</summary>
internal static class ByNode
{
    private const int MostNames = 8;

    /// <returns>"n1, n2: cpu; n3: 2 × NVIDIA H100".</returns>
    public static string Say(IEnumerable<(string Node, string Words)> said) =>
        string.Join("; ", said.GroupBy(one => one.Words).Select(same => $"{Names(same.Select(one => one.Node))}: {same.Key}"));

    public static string Names(IEnumerable<string> nodes) => Some([.. nodes], MostNames, ", ");

    /// <summary>The first ones, and how many there are beside them.</summary>
    public static string Some(IReadOnlyList<string> all, int most, string separator) => all.Count <= most
        ? string.Join(separator, all)
        : $"{string.Join(separator, all.Take(most))}{separator}and {all.Count - most} more";
}
