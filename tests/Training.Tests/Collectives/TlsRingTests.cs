using System.Security.Cryptography.X509Certificates;
using Phi3VCluster.Tls;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Collectives;

/// <summary>Ranks of two machines that have certificates: what others see of what they say, and who is not let in.</summary>
public sealed class TlsRingTests
{
    private static readonly DateTimeOffset Tomorrow = DateTimeOffset.UtcNow.AddDays(1);

    public TlsRingTests() => LibTorch.Load();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Who_listens_between_two_machines_sees_the_values_only_without_TLS(bool isTls)
    {
        var pattern = Enumerable.Repeat((byte)0x5A, 64).ToArray();
        var ends = Enumerable.Range(0, 2).Select(i => End(isTls ? TestCertificates.Ours.Silo($"n{i}") : null)).ToArray();
        using var relay = new Relay(RingAddress.Parse(ends[1].Address).Port);
        string[] direct = [.. ends.Select(end => end.Address)];
        string[] relayed = [direct[0], $"{RingAddress.Parse(direct[1]) with { Port = relay.Port }}"];

        var sums = Ranks.OnThreads(2, rank =>
        {
            using var world = ends[rank].Connect(1, rank, rank == 0 ? relayed : direct, CancellationToken.None);
            using var bytes = full(100_000, 0x5A, ScalarType.Byte);
            world.AllGather(bytes);
            using var one = ones(1);
            world.AllReduce(one);
            return one.item<float>();
        });

        Assert.All(sums, sum => Assert.Null(sum.Failure));
        Assert.All(sums, sum => Assert.Equal(2f, sum.Result));
        Assert.True(relay.Seen.Length > 50_000, $"{relay.Seen.Length} bytes came by"); // rank 0's half at least
        Assert.Equal(!isTls, relay.Seen.AsSpan().IndexOf(pattern) >= 0);
        Assert.Equal(!isTls, relay.Seen.AsSpan().IndexOf("GRV3IHP"u8) >= 0); // of the ranks' greeting
    }

    [Theory]
    [InlineData("other", "its certificate is of another authority, CN=others")]
    [InlineData("client", "it shows one for a client, and must be a silo")]
    [InlineData("expired", "its certificate is valid from ")]
    public void Who_comes_with_another_certificate_is_refused_and_named(string which, string reason)
    {
        var own = TestCertificates.Ours.Silo("n0");
        using var stranger = new Stranger(Shown(which));
        using var absent = End(own);
        var end = End(own);
        using var stop = new CancellationTokenSource();
        var outcomes = Ranks.OnThreads(2, rank =>
        {
            if (rank == 0)
                return Assert.Throws<CollectiveException>(() => end.Connect(1, 0, [end.Address, absent.Address], stop.Token)).Message;
            var address = stranger.Come(RingAddress.Parse(end.Address).Port);
            stop.Cancel();
            return address;
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        var noted = Assert.Single(own.Notes);
        Assert.StartsWith($"Refused at a rank's port: {outcomes[1].Result} (CN=stranger): {reason}", noted);
    }

    [Theory]
    [InlineData("other", "its certificate is of another authority, CN=others")]
    [InlineData("client", "its certificate does not hold (NotValidForUsage)")]
    [InlineData("expired", "its certificate is valid from ")]
    public void A_rank_does_not_talk_to_one_that_answers_with_another_certificate(string which, string reason)
    {
        var own = TestCertificates.Ours.Silo("n0");
        using var stranger = new Stranger(Shown(which));
        var end = End(own);
        string[] addresses = [end.Address, $"{RingAddress.Parse(end.Address) with { Port = stranger.Listen() }}"];
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));

        var error = Assert.Throws<CollectiveException>(() => end.Connect(1, 0, addresses, stop.Token)).Message;

        Assert.StartsWith($"Does not talk to 127.0.0.1:{stranger.Port} (CN=stranger): {reason}", Assert.Single(own.Notes));
        Assert.Contains(
            $"rank 1 at 127.0.0.1:{stranger.Port} and rank 0 of generation 1 do not trust each other: CN=stranger: {reason}", error);
    }

    [Fact]
    public void Who_speaks_no_TLS_is_refused_and_named_and_the_wait_goes_on()
    {
        TestTls[] tls = [TestCertificates.Ours.Silo("n0"), TestCertificates.Ours.Silo("n1")];
        var ends = tls.Select(End).ToArray();
        string[] addresses = [.. ends.Select(end => end.Address)];
        using var plain = RingSockets.ConnectTcp("127.0.0.1", RingAddress.Parse(addresses[0]).Port, CancellationToken.None);
        var address = $"{plain.LocalEndPoint}";
        RingHandshake.Of(RingAddress.Parse(addresses[0]), 1, 1, 2).Send(new PlainConnection(plain)); // it even knows the key

        var sums = Ranks.OnThreads(2, rank =>
        {
            using var world = ends[rank].Connect(1, rank, addresses, CancellationToken.None);
            using var one = ones(1);
            world.AllReduce(one);
            return one.item<float>();
        });

        Assert.All(sums, sum => Assert.Equal(2f, sum.Result));
        Assert.Equal($"Refused at a rank's port: {address}: it speaks no TLS.", Assert.Single(tls[0].Notes));
        Assert.Empty(tls[1].Notes);
    }

    [Theory]
    [InlineData(true, "asks for TLS, and the node of rank 0 of generation 1 has no certificate; give all silos --tls-certificate.")]
    [InlineData(false, "speaks no TLS, and the node of rank 0 of generation 1 asks for it; give all silos --tls-certificate.")]
    public void A_node_with_a_certificate_and_one_without_do_not_meet(bool isPeers, string reason)
    {
        var ends = new[] { End(isPeers ? null : TestCertificates.Ours.Silo("n0")), End(isPeers ? TestCertificates.Ours.Silo("n1") : null) };
        using var _ = ends[1];

        var error = Assert.Throws<CollectiveException>(
            () => ends[0].Connect(1, 0, [.. ends.Select(end => end.Address)], CancellationToken.None));

        Assert.Contains(reason, error.Message);
    }

    [Fact]
    public void Ranks_of_one_machine_keep_their_local_socket()
    {
        using var end = new TcpEndpoint("127.0.0.1", TestCertificates.Ours.Silo("n0"));
        using var peer = new TcpEndpoint("127.0.0.1", TestCertificates.Ours.Silo("n1"));
        string[] addresses = [end.Address, peer.Address];

        var kinds = Ranks.OnThreads(2, rank =>
        {
            var (next, previous) = (rank == 0 ? end : peer).ConnectNeighbours(1, rank, addresses, CancellationToken.None);
            using (next)
            using (previous) return (next, previous);
        });

        Assert.All(kinds, kind => Assert.IsType<PlainConnection>(kind.Result.next));
        Assert.All(kinds, kind => Assert.IsType<PlainConnection>(kind.Result.previous));
    }

    private static X509Certificate2 Shown(string which) => (which switch
    {
        "other" => TestCertificates.Others.Silo("stranger"),
        "client" => TestCertificates.Ours.Of("stranger", PeerRole.Client, Tomorrow),
        _ => TestCertificates.Ours.Of("stranger", PeerRole.Silo, DateTimeOffset.UtcNow.AddMinutes(-1)),
    }).Shown;

    private static TcpEndpoint End(IPeerTls? tls) => new("127.0.0.1", tls, isLocalToo: false);
}
