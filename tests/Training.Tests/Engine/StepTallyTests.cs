using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Tests.Collectives;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>What one rank knows of a step, all know.</summary>
public sealed class StepTallyTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void All_ranks_hear_that_one_has_lost_the_coordinator(bool isOrphaned)
    {
        var told = Ranks.Run(new TcpBackend(), 2, ring => StepTally.Exchange(
            ring, new StepWork(), shardSquares: 1, wantsBoundary: ring.Rank == 1, isOrphaned: isOrphaned && ring.Rank == 1));

        Assert.All(told, tally => Assert.Equal((true, isOrphaned, 0), (tally.IsBoundary, tally.IsOrphaned, tally.Stored)));
    }
}
