using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Phi3VCluster.Client.Checks;
using Phi3VCluster.Client.Checks.Nodes;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Training.Engine.Checks;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>What <c>phi3v doctor</c> says of the nodes of a cluster, asked as it asks.</summary>
public sealed class NodeChecksTests : IDisposable
{
    private static readonly TimeSpan Generous = TimeSpan.FromSeconds(30), Short = TimeSpan.FromSeconds(2);

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Nodes_that_are_well_reach_each_other_share_a_folder_and_are_left_as_they_were()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: 1);

        var rows = await CheckAsync(cluster, Generous);

        Assert.All(rows.Values, row => Assert.True(row.Ok, row.Detail));
        Assert.Equal(
            ["nodes' clocks", "nodes' devices", "nodes' disks", "nodes' folder", "nodes' ports", "nodes' store"], rows.Keys.Order());
        Assert.Equal("all 6 pairs reach each other where ranks listen", rows["nodes' ports"].Detail);
        Assert.Equal($"all see the same {Results}", rows["nodes' folder"].Detail);
        Assert.Matches($"^{Results}: Silo_0, Silo_1, Silo_2: .* GiB free$", rows["nodes' disks"].Detail);
        Assert.Matches("^its store: written; there and back Silo_0 .* ms, Silo_1 .* ms, Silo_2 .* ms$", rows["nodes' store"].Detail);
        await Eventually.SeeAsync("the tokens are removed", () => !Directory.EnumerateFileSystemEntries(_folder).Any());
        Assert.Empty(cluster.StoredFiles("check"));
    }

    [Fact]
    public async Task Who_is_at_fault_is_named_with_the_reason_and_what_to_do()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: 1);
        var (first, second, third) = (cluster.Probe("Silo_0"), cluster.Probe("Silo_1"), cluster.Probe("Silo_2"));
        second.Ahead = TimeSpan.FromSeconds(30);
        first.Instead[third] = new(ReachOutcome.Refused);
        third.Instead[second] = new(ReachOutcome.TimedOut);
        (first.CertificateEnd, third.CertificateEnd) = (DateTimeOffset.UtcNow.AddDays(90.1), DateTimeOffset.UtcNow.AddDays(2.1));

        var rows = await CheckAsync(cluster, Generous);

        Assert.Equal(
            ["nodes' certificates", "nodes' clocks", "nodes' ports"], rows.Values.Where(row => !row.Ok).Select(row => row.Check).Order());
        Assert.StartsWith("Silo_1 is 30.0 s ahead of most nodes (± ", rows["nodes' clocks"].Detail);
        Assert.StartsWith(
            "Silo_0 → Silo_2 (127.0.0.1): refused; Silo_2 → Silo_1 (127.0.0.1): timed out; ranks take any free port: ",
            rows["nodes' ports"].Detail);
        Assert.StartsWith("Silo_2: 2 days left; renew them: ", rows["nodes' certificates"].Detail);
    }

    [Fact]
    public async Task A_node_that_does_not_answer_has_a_row_and_the_others_are_checked()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 3, ranksPerNode: 1);
        cluster.Probe("Silo_1").IsDeaf = true;

        var rows = await CheckAsync(cluster, Short);

        var silent = Assert.Single(rows.Values, row => !row.Ok);
        Assert.Equal("node Silo_1", silent.Check);
        Assert.StartsWith("Silo_1: does not answer within 2 s; ", silent.Detail);
        Assert.Equal("all 2 pairs reach each other where ranks listen", rows["nodes' ports"].Detail);
    }

    [Fact]
    public async Task Clocks_may_differ_by_half_of_what_makes_every_sign_of_life_stale()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);
        var membership = cluster.Host.GetSiloServiceProvider().GetRequiredService<IOptions<ClusterMembershipOptions>>().Value;

        var period = membership.IAmAliveTablePublishTimeout.TotalSeconds;
        Assert.Equal(ClockCheck.Most, ((membership.NumMissedTableIAmAliveLimit * period) - period) / 2);
    }

    [Fact]
    public async Task A_node_that_is_lost_or_has_left_has_a_row_too_and_a_place_that_is_no_folder_is_named()
    {
        await using var cluster = await TestCluster.StartAsync(nodes: 1, ranksPerNode: 1);

        File.WriteAllText(Results, "where runs want a folder");

        var rows = await CheckAsync(cluster, Generous, "gone");

        Assert.StartsWith("gone: does not answer: node 'gone' is not in the cluster; its nodes are Silo_0; ", rows["node gone"].Detail);
        Assert.StartsWith("lost: is not in the cluster any more: ", rows["node lost"].Detail);
        Assert.StartsWith($"{Results}: Silo_0: {Results} is a file; let the silo's user write there", rows["nodes' disks"].Detail);
        Assert.DoesNotContain("nodes' ports", rows.Keys); // there is nobody to go to
    }

    /// <summary>It need not be there.</summary>
    private string Results => Path.Combine(_folder, "output");

    private async Task<IReadOnlyDictionary<string, CheckRow>> CheckAsync(
        TestCluster cluster, TimeSpan patience, string? other = null)
    {
        var names = (await cluster.Front.NodesAsync()).Select(node => node.Node).Concat(other is null ? [] : [other]);
        var rows = await NodeChecks.AllAsync([.. names.Select(node => new NodeCalls(cluster.Grains, node, patience))],
            lost: other is null ? [] : ["lost"], Results, CancellationToken.None);
        return rows.ToDictionary(row => row.Check);
    }
}
