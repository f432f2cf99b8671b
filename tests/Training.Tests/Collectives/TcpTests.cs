using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Tests.Collectives;

public sealed class TcpTests
{
    [Fact]
    public void A_link_over_tcp_carries_an_all_reduce_as_one_over_a_local_socket_does()
    {
        using var first = RingSockets.Listen(new IPEndPoint(IPAddress.Loopback, 0), ProtocolType.Tcp);
        using var second = RingSockets.Listen(new IPEndPoint(IPAddress.Loopback, 0), ProtocolType.Tcp);
        Socket[] toNext = [Reach(second), Reach(first)];
        Socket[] fromPrevious = [first.Accept(), second.Accept()];

        var sums = Ranks.OnThreads(2, rank =>
        {
            using var ring = new TcpRing(
                1, rank, 2, new RingLink(new PlainConnection(toNext[rank]), new PlainConnection(fromPrevious[rank]), rank, 2));
            using var buffer = TorchSharp.torch.full(500_001, rank + 1f);
            ring.AllReduce(buffer);
            return (buffer.min().item<float>(), buffer.max().item<float>());
        });

        Assert.All(sums, sum => Assert.Null(sum.Failure));
        Assert.All(sums, sum => Assert.Equal((3f, 3f), sum.Result));
    }

    [Fact]
    public void A_host_that_is_not_this_machine_is_named()
    {
        var error = Assert.Throws<CollectiveException>(() => new TcpEndpoint("192.0.2.1"));

        Assert.Contains("192.0.2.1", error.Message);
    }

    [Fact]
    public void An_address_of_another_collective_is_refused_with_a_hint()
    {
        var error = Assert.Throws<CollectiveException>(() => RingAddress.Parse("loopback://"));

        Assert.Contains("same collective", error.Message);
    }

    [Theory]
    [InlineData("10.0.0.7")]
    [InlineData("gpu-3.ranks.svc")]
    [InlineData("fd00::7")]
    public void An_address_reads_back_as_it_was_written(string host)
    {
        var address = new RingAddress(host, 29500, Guid.NewGuid());

        Assert.Equal(address, RingAddress.Parse(address.ToString()));
    }

    private static Socket Reach(Socket listener) =>
        RingSockets.ConnectTcp("127.0.0.1", ((IPEndPoint)listener.LocalEndPoint!).Port, CancellationToken.None);
}
