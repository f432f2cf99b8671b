using Phi3VCluster.Training.Native.Blocked;

namespace Phi3VCluster.Training.Tests.Native.Blocked;

public sealed class AttentionBlockTests
{
    [Theory]
    [InlineData(1, 1, 1, true, 2)]
    [InlineData(3, 4, 577, false, 1)]
    [InlineData(17, 4, 577, false, 2)]
    [InlineData(2, 32, 2509, true, 3)]
    public void Every_query_of_every_head_is_in_one_block_and_sees_its_keys(int batch, int heads, int length, bool causal, int threads)
    {
        var met = new int[batch * heads * length];
        foreach (var block in AttentionBlock.ByHeads([batch, heads, length, 64], causal, threads).SelectMany(list => list))
        {
            for (var row = 0; row < block.RowCount; row++)
            {
                var place = block.RowOfAll(row);
                met[place]++;
                var seen = block.KeysSeenBy(row);
                Assert.Equal(causal ? (place % length) + 1 : length, seen);
                Assert.InRange(seen, 1, block.KeyCount);
            }
        }
        Assert.All(met, times => Assert.Equal(1, times));
    }

    [Fact]
    public void Blocks_of_a_long_page_stay_small()
    {
        var blocks = AttentionBlock.ByHeads([1, 32, 8192, 96], causal: true, threads: 2).SelectMany(list => list);
        Assert.InRange(blocks.Max(block => (long)block.RowCount * block.KeyCount), 1, 1 << 21);
    }

    [Theory]
    [InlineData(1, 8, 2509, 2)]
    [InlineData(17, 4, 577, 2)]
    [InlineData(1, 32, 788, 16)]
    public void Every_thread_has_as_much_to_do_within_a_tenth(int batch, int heads, int length, int threads)
    {
        var lists = AttentionBlock.ByHeads([batch, heads, length, 64], causal: true, threads);
        long[] work = [.. lists.Select(list => list.Sum(block => (long)block.RowCount * block.KeyCount))];
        var mostAtOnce = (lists.Count + threads - 1) / threads * work.Max();
        Assert.InRange(mostAtOnce * threads, work.Sum(), work.Sum() * 1.1);
    }

    [Fact]
    public void Lists_share_no_head()
    {
        var lists = AttentionBlock.ByHeads([2, 5, 2100, 8], causal: true, threads: 2);
        var heads = lists.SelectMany(list => list.Select(block => (block.Sequence, block.FirstHead, block.HeadCount)).Distinct()).ToList();
        Assert.Equal(lists.Count, heads.Count);
        Assert.Equal(2 * 5, heads.Sum(one => one.HeadCount));
    }
}
