using Orleans.Runtime;

namespace Phi3VCluster.Client.Cluster;

/// <summary>The silos of a cluster by the names of their nodes.</summary>
/// <param name="Active">Those that take part.</param>
/// <param name="Gone">Those that did so a moment ago, and no more.</param>
internal sealed record ClusterMembers(IReadOnlyList<string> Active, IReadOnlyList<string> Gone)
{
    private static readonly TimeSpan Moment = TimeSpan.FromMinutes(1);

    public static ClusterMembers Of(IReadOnlyList<MembershipEntry> entries)
    {
        string[] active = [.. Names(entries.Where(entry => entry.Status == SiloStatus.Active))];
        var newest = entries.Select(entry => entry.IAmAliveTime).DefaultIfEmpty().Max(); // by their clocks, not by ours
        var gone = Names(entries.Where(entry => entry.Status != SiloStatus.Joining && newest - entry.IAmAliveTime < Moment));
        return new(active, [.. gone.Except(active)]);
    }

    private static IEnumerable<string> Names(IEnumerable<MembershipEntry> entries) =>
        entries.Select(entry => entry.SiloName).Distinct().Order(StringComparer.Ordinal);
}
