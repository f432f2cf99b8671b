namespace Phi3VCluster.Client.Checks.Nodes;

/// <summary>How long the certificates of the nodes' connections last.</summary>
internal static class NodeCertificates
{
    /// <param name="ends">By node; null where it has none.</param>
    /// <param name="now">By this machine's clock.</param>
    /// <returns>Null where no node has one.</returns>
    public static CheckRow? Row(IReadOnlyList<(string Node, DateTimeOffset? End)> ends, DateTimeOffset now)
    {
        var left = ends.Where(one => one.End is not null).Select(one => (one.Node, Days: (one.End!.Value - now).TotalDays)).ToArray();
        if (left.Length == 0) return null;
        var bad = left.Where(one => one.Days < CertificateChecks.LeastDays).ToArray();
        return bad.Length == 0
            ? new("nodes' certificates", true, ByNode.Say(left.Select(Words)))
            : new("nodes' certificates", false, $"{ByNode.Say(bad.Select(Words))}; renew them: new files are read at the next connection");
    }

    private static (string, string) Words((string Node, double Days) one) => (one.Node, $"{one.Days:0} days left");
}
