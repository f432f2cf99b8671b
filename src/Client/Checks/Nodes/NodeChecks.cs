using Phi3VCluster.Client.Cluster;

namespace Phi3VCluster.Client.Checks.Nodes;

/// <summary>
/// The nodes of a running cluster, each by itself and each against the others. All are asked at once; one that is away or hangs costs its
/// patience once, and gets a row of its own.
/// </summary>
internal static class NodeChecks
{
    /// <param name="all">The ways to those that are in the cluster.</param>
    /// <param name="lost">Those that were, or should be.</param>
    /// <param name="folder">Where runs' results go.</param>
    /// <param name="interrupted">By the user.</param>
    /// <exception cref="OperationCanceledException">The user has interrupted.</exception>
    public static async Task<IReadOnlyList<CheckRow>> AllAsync(
        IReadOnlyList<NodeCalls> all, IEnumerable<string> lost, string folder, CancellationToken interrupted)
    {
        try
        {
            await Task.WhenAll(all.Select(node => node.FindAsync(interrupted)));
            var clocks = await Each(all, node => ClockReading.OfAsync(node, interrupted));
            var found = await Each(all, node => node.AskAsync(grain => grain.LookAsync(folder), interrupted));
            var withRanks = found.Where(f => f.Said.Ranks > 0).Select(f => f.Node).ToHashSet();
            var disks = found.Select(f => (f.Node, f.Said.Disk!)).Where(f => f.Item2 is not null).ToArray();
            var seen = await SharedFolder.SeeAsync(all, disks, interrupted);
            var ports = await PortCheck.RunAsync([.. all.Where(node => withRanks.Contains(node.Name))], interrupted);
            CheckRow?[] rows =
            [
                .. lost.Select(node => Away(node, "is not in the cluster any more: its silo ended, or hangs")),
                .. all.Where(node => node.Silence is not null).Select(node => Away(node.Name, node.Silence!)),
                ClockCheck.Row(clocks),
                ports,
                DiskCheck.Row(folder, disks),
                SharedFolder.Row(folder, seen),
                StoreCheck.Row([.. found.Select(f => (f.Node, f.Said.Store))]),
                DeviceCheck.Row([.. found.Select(f => (f.Node, f.Said.Devices))]),
                NodeCertificates.Row([.. found.Select(f => (f.Node, f.Said.CertificateEnd))], DateTimeOffset.UtcNow),
            ];
            return [.. rows.OfType<CheckRow>()];
        }
        finally
        {
            await Task.WhenAll(all.Select(node => node.EndAsync()));
        }
    }

    /// <summary>What those say that answer.</summary>
    public static async Task<IReadOnlyList<(string Node, T Said)>> Each<T>(IEnumerable<NodeCalls> nodes, Func<NodeCalls, Task<T?>> ask)
        where T : class
    {
        var answers = await Task.WhenAll(nodes.Select(async node => (node.Name, Said: await ask(node))));
        return [.. answers.Where(answer => answer.Said is not null).Select(answer => (answer.Name, answer.Said!))];
    }

    private static CheckRow Away(string node, string why) =>
        new($"node {node}", false, $"{node}: {why}; see its silo's log, start it again, or mend the way there");
}
