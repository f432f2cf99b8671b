using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Tls;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Engine.Checks;
using Phi3VCluster.Training.Tests.Collectives;

namespace Phi3VCluster.Training.Tests.Engine.Checks;

/// <summary>One node's way to another, as if each were on a machine of its own.</summary>
public sealed class NodeProbeTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30), Short = TimeSpan.FromSeconds(0.3);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_end_that_waits_is_reached(bool hasTls)
    {
        var (from, to) = hasTls ? (Node(TestCertificates.Ours.Silo("a")), Node(TestCertificates.Ours.Silo("b"))) : (Node(null), Node(null));
        using var end = to.Open();

        Assert.Equal(ReachOutcome.Reached, Go(from, end).Outcome);
    }

    [Fact]
    public void An_end_that_is_closed_refuses()
    {
        var end = Node(null).Open();
        end.Dispose();

        Assert.Equal(new(ReachOutcome.Refused), Go(Node(null), end.Address, Patience));
    }

    [Fact]
    public void One_that_says_nothing_is_not_waited_for()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var address = new RingAddress("127.0.0.1", ((IPEndPoint)silent.LocalEndpoint).Port, Guid.NewGuid());

        Assert.Equal(new(ReachOutcome.TimedOut), Go(Node(null), $"{address}", Short));
    }

    [Theory]
    [InlineData(SocketError.HostUnreachable, ReachOutcome.NoRoute)]
    [InlineData(SocketError.NetworkUnreachable, ReachOutcome.NoRoute)]
    [InlineData(SocketError.TimedOut, ReachOutcome.TimedOut)]
    [InlineData(SocketError.ConnectionReset, ReachOutcome.Failed)]
    public void What_the_network_says_is_told_apart(SocketError said, ReachOutcome outcome) =>
        Assert.Equal(outcome, NodeProbe.Of(new SocketException((int)said), "it broke", isTls: false).Outcome);

    [Fact]
    public void Certificates_of_two_authorities_do_not_trust_each_other()
    {
        using var end = Node(TestCertificates.Ours.Silo("b")).Open();

        var reach = Go(Node(TestCertificates.Others.Silo("a")), end);

        Assert.Equal(ReachOutcome.NotTrusted, reach.Outcome);
        Assert.Contains("another authority", reach.Detail);
    }

    [Fact]
    public void A_certificate_that_the_other_end_refuses_is_not_trusted()
    {
        using var end = Node(TestCertificates.Ours.Silo("b")).Open();

        var reach = Go(Node(TestCertificates.Ours.Of("a", PeerRole.Client, DateTimeOffset.UtcNow.AddDays(1))), end);

        Assert.Equal(ReachOutcome.NotTrusted, reach.Outcome);
    }

    [Fact]
    public void A_node_without_a_certificate_is_told_that_it_needs_one()
    {
        using var end = Node(TestCertificates.Ours.Silo("b")).Open();

        var reach = Go(Node(null), end);

        Assert.Equal(ReachOutcome.NotTrusted, reach.Outcome);
        Assert.Contains("asks for TLS", reach.Detail);
    }

    [Fact]
    public void A_node_without_ranks_has_no_devices_and_one_that_leaves_GPUs_alone_says_so()
    {
        Assert.Equal("no ranks", new NodeProbe(hasRanks: false, usesGpus: true, "127.0.0.1", null, () => null).Devices().Words);
        Assert.StartsWith("cpu; GPUs are left alone", Node(null).Devices().Words);
    }

    private static NodeProbe Node(IPeerTls? tls) => new(hasRanks: true, usesGpus: false, "127.0.0.1", tls, () => null, isLocalToo: false);

    /// <summary>While the other node waits for somebody.</summary>
    private static Reach Go(NodeProbe from, IPeerEndpoint to)
    {
        using var over = new CancellationTokenSource();
        var waiting = Task.Run(() =>
        {
            try
            {
                using var channel = to.Accept(over.Token);
                channel.Receive(new byte[1], over.Token);
            }
            catch (Exception gone) when (gone is OperationCanceledException or IOException)
            {
                // That is how it ends.
            }
        }, CancellationToken.None);
        var reach = Go(from, to.Address, Patience);
        over.Cancel();
        waiting.Wait(CancellationToken.None);
        return reach;
    }

    private static Reach Go(NodeProbe from, string address, TimeSpan patience)
    {
        using var late = new CancellationTokenSource(patience);
        return from.Reach(address, late.Token);
    }
}
