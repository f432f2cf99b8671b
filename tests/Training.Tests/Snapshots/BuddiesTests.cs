using Phi3VCluster.Training.Snapshots;

namespace Phi3VCluster.Training.Tests.Snapshots;

public sealed class BuddiesTests
{
    [Theory]
    [InlineData("a", "-")]
    [InlineData("a a", "1 0")]
    [InlineData("a b", "1 0")]
    [InlineData("a b c", "1 2 0")]
    [InlineData("a a b b", "2 3 0 1")]
    [InlineData("a a b b c c", "2 3 4 5 0 1")]
    [InlineData("a a a b", "3 3 3 0")]
    [InlineData("a b b b", "1 0 0 0")]
    public void A_rank_s_buddy_is_on_another_node_if_there_is_one(string nodes, string expected)
    {
        var buddies = Buddies.Of(nodes.Split(' '));

        Assert.Equal(expected, string.Join(' ', buddies.Select(buddy => buddy is { } rank ? $"{rank}" : "-")));
    }

    [Fact]
    public void Nobody_keeps_much_more_than_others()
    {
        string[] nodes = [.. Enumerable.Range(0, 5).SelectMany(node => Enumerable.Repeat($"n{node}", 8))];

        var buddies = Buddies.Of(nodes);

        Assert.All(Enumerable.Range(0, nodes.Length), rank => Assert.NotEqual(nodes[rank], nodes[buddies[rank]!.Value]));
        Assert.All(buddies.CountBy(buddy => buddy!.Value), count => Assert.Equal(1, count.Value));
    }
}
