using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Tests.Collectives;

public sealed class LoopbackTests
{
    [Fact]
    public void A_world_of_two_is_refused_with_a_way_out()
    {
        using var endpoint = Catalog<ICollectiveBackend>.Find("loopback", "test").Open("127.0.0.1");

        string[] two = [endpoint.Address, endpoint.Address];

        var error = Assert.Throws<CollectiveException>(() => endpoint.Connect(1, 0, two, CancellationToken.None));

        Assert.Contains("got 2", error.Message);
    }
}
