using Phi3VCluster.Client.Checks.Nodes;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Tests.Checks;

/// <summary>What is said of what nodes found.</summary>
public sealed class NodeRowsTests
{
    private const long Gib = 1L << 30;

    [Theory]
    [InlineData(4.9, true, "at most 4.900 s apart (± 0.030 s)")]
    [InlineData(5.1, false, "n2 is 5.1 s ahead of n1 (± 0.030 s), 5 s is the most: ")]
    [InlineData(-5.1, false, "n1 is 5.1 s ahead of n2 (± 0.030 s), 5 s is the most: ")]
    public void Two_clocks_are_compared_with_each_other(double ahead, bool ok, string detail)
    {
        var row = ClockCheck.Row([("n1", new(0, 0.01)), ("n2", new(ahead, 0.02))])!;

        Assert.Equal(ok, row.Ok);
        Assert.StartsWith(detail, row.Detail);
    }

    [Fact]
    public void Of_many_clocks_those_are_named_that_are_not_as_most_are() => Assert.StartsWith(
        "n4 is 7.0 s behind most nodes, n1 is 6.0 s ahead of most nodes (± ",
        ClockCheck.Row(
            [("n1", new(106, 0)), ("n2", new(100, 0)), ("n3", new(100.1, 0)), ("n4", new(93, 0)), ("n5", new(99.9, 0))])!.Detail);

    [Theory]
    [InlineData(2)]
    [InlineData(32)]
    public void Of_up_to_32_nodes_everyone_goes_to_everyone(int nodes) =>
        Assert.Equal(Enumerable.Range(1, nodes - 1), PortCheck.Steps(nodes, new Random(1)));

    [Theory]
    [InlineData(33)]
    [InlineData(500)]
    public void Of_more_everyone_goes_to_the_next_one_and_to_seven_others(int nodes)
    {
        var steps = PortCheck.Steps(nodes, new Random(1));

        Assert.Equal((8, 8, 1), (steps.Count, steps.Distinct().Count(), steps[0]));
        Assert.All(steps, step => Assert.InRange(step, 1, nodes - 1));
        Assert.NotEqual(steps, PortCheck.Steps(nodes, new Random(2)));
    }

    [Fact]
    public void Of_many_pairs_that_fail_six_are_named_and_the_others_counted()
    {
        PortPair[] pairs =
            [.. Enumerable.Range(2, 9).Select(i => new PortPair("n1", $"n{i}", $"10.0.0.{i}", new(ReportedReachOutcome.NoRoute, "")))];

        var row = PortCheck.Row(10, pairs, [("n1", "cannot listen on '10.9.9.9'")]);

        Assert.False(row.Ok);
        Assert.StartsWith("n1 does not listen: cannot listen on '10.9.9.9'; n1 → n2 (10.0.0.2): no route; ", row.Detail);
        Assert.Contains("n1 → n6 (10.0.0.6): no route; and 4 more; ranks take any free port: ", row.Detail);
    }

    [Fact]
    public void Where_certificates_alone_are_refused_the_advice_is_about_them() => Assert.EndsWith(
        "certificate refused: CN=n2: it shows one for a client; give all silos certificates of one authority that are in their time",
        PortCheck.Row(
            2, [new("n1", "n2", "10.0.0.2", new(ReportedReachOutcome.NotTrusted, "CN=n2: it shows one for a client"))], []).Detail);

    [Fact]
    public void Nodes_that_see_other_tokens_have_other_folders()
    {
        var row = SharedFolder.Row("/runs", [("n1", "101"), ("n2", "010"), ("n3", "101")])!;

        Assert.False(row.Ok);
        Assert.StartsWith("/runs is not the same folder on n1, n3 | n2; ", row.Detail);
        Assert.True(SharedFolder.Row("/runs", [("n1", "11"), ("n2", "11")])!.Ok);
        Assert.Null(SharedFolder.Row("/runs", [("n1", "1")]));
    }

    [Fact]
    public void A_disk_that_is_full_or_cannot_be_written_to_is_named()
    {
        var row = DiskCheck.Row(
            "/runs", [("n1", new(9 * Gib, "/runs/t", null)), ("n2", new(Gib / 2, "/runs/u", null)), ("n3", new(0, null, "no"))])!;

        Assert.False(row.Ok);
        Assert.StartsWith("/runs: n2: 0.5 GiB free; n3: no; let the silo's user write there, with 1 GiB", row.Detail);
    }

    [Fact]
    public void A_store_that_cannot_be_written_is_named()
    {
        (string, StoreFinding) good = ("n1", new("the Redis at r:6379", 0.0004, null));
        (string, StoreFinding) bad = ("n2", new("the Redis at r:6379", 0, "NOPERM"));

        var row = StoreCheck.Row([good, bad])!;

        Assert.False(row.Ok);
        Assert.StartsWith("n2: the Redis at r:6379: NOPERM; see that it is up", row.Detail);
        Assert.Equal("the Redis at r:6379: written; there and back n1 0.4 ms", StoreCheck.Row([good])!.Detail);
    }

    [Theory]
    [InlineData(22809, 22809, true)]
    [InlineData(22809, 22105, false)]
    [InlineData(22809, 0, false)]
    public void GPUs_of_two_nodes_want_one_NCCL(int first, int second, bool ok)
    {
        var row = DeviceCheck.Row(
            [("n1", new("a GPU", 1, first, null)), ("n2", new("a GPU", 1, second, null)), ("n3", new("cpu", 0, 0, null))])!;

        Assert.Equal(ok, row.Ok);
        Assert.StartsWith("n1, n2: a GPU; n3: cpu", row.Detail);
    }

    [Fact]
    public void A_GPU_alone_needs_no_NCCL() => Assert.True(DeviceCheck.Row([("n1", new("a GPU", 1, 0, null))])!.Ok);

    [Fact]
    public void Of_more_than_eight_nodes_the_names_are_counted() => Assert.Equal(
        "n1, n2, n3, n4, n5, n6, n7, n8, and 92 more: cpu", ByNode.Say(Enumerable.Range(1, 100).Select(i => ($"n{i}", "cpu"))));
}
