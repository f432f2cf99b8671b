using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

public sealed class MicroBatchesTests
{
    [Theory]
    [InlineData(1, 1, 1, 1, 1, 1)]
    [InlineData(2, 2, 2, 1)]
    [InlineData(3, 3, 2)]
    [InlineData(9, 5)]
    public void A_share_is_cut_by_count_whatever_the_lengths(int most, params int[] expected) =>
        Assert.Equal(Places(expected), new MicroBatches(new() { Micro = most }).Cut(Share(3000, 1, 1, 3000, 7)));

    [Fact]
    public void Or_by_tokens_where_a_longer_sample_is_alone()
    {
        var cut = new MicroBatches(new()).Cut(Share(1000, 24, 1, 1023, 1024, 5000, 1, 500, 523, 1));

        Assert.Equal(Places(2, 2, 1, 1, 3, 1), cut);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(2)]
    public void Nothing_makes_no_pass(int? most) => Assert.Empty(new MicroBatches(new() { Micro = most }).Cut([]));

    private static EncodedSample[] Share(params int[] lengths) =>
        [.. lengths.Select(length => new EncodedSample("a", new long[length], new long[length], []))];

    private static (int Start, int Count)[] Places(params int[] counts) =>
        [.. counts.Select((count, i) => (counts.Take(i).Sum(), count))];
}
