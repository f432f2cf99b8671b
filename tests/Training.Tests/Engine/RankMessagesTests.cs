using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Collectives;

namespace Phi3VCluster.Training.Tests.Engine;

public sealed class RankMessagesTests
{
    private const int BeyondFloat = (1 << 24) + 3; // float32 rounds it to a multiple of four

    [Fact]
    public void Messages_of_any_length_arrive_whole()
    {
        byte[][] sent = [[], [1, 2, 3], new byte[BeyondFloat]];
        new Random(1).NextBytes(sent[2]);

        foreach (var received in Ranks.Run(new TcpBackend(), 3, ring => RankMessages.Exchange(ring, sent[ring.Rank])))
            for (var rank = 0; rank < 3; rank++) Assert.True(sent[rank].AsSpan().SequenceEqual(received[rank]), $"rank {rank}'s");
    }

    [Fact]
    public void The_largest_number_is_exact() => Assert.All(
        Ranks.Run(new TcpBackend(), 2, ring => RankMessages.Largest(ring, BeyondFloat + ring.Rank)),
        largest => Assert.Equal(BeyondFloat + 1, largest));
}
