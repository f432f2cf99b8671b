using Phi3VCluster.Training.Native.Blocked;

namespace Phi3VCluster.Training.Tests.Native.Blocked;

public sealed class AttentionBlockTests
{
    [Theory]
    [InlineData(1, 1, 1, true)]
    [InlineData(3, 4, 577, false)]
    [InlineData(2, 32, 2509, true)]
    public void Every_query_of_every_head_is_in_one_block_and_sees_its_keys(int batch, int heads, int length, bool causal)
    {
        var met = new int[batch * heads * length];
        foreach (var block in AttentionBlock.All([batch, heads, length, 64], causal))
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
        var largest = AttentionBlock.All([1, 32, 8192, 96], causal: true).Max(block => (long)block.RowCount * block.KeyCount);
        Assert.InRange(largest, 1, 1 << 21);
    }
}
