using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>Silos whose connections are TLS: who is let in, who is not, and what the log says of whom.</summary>
public sealed class SiloTlsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;
    private readonly Certificates _ours, _others;

    public SiloTlsTests() => (_ours, _others) = (new(_folder), new(_folder, "other"));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Silos_and_a_client_of_one_authority_make_a_cluster_and_a_silo_of_another_is_kept_out()
    {
        await using var redis = await RedisProcess.StartAsync(_folder);
        await using var first = await StartAsync("n1", ["--redis", redis.Address, .. _ours.Silo("n1")]);
        await using var second = await StartAsync("n2", ["--redis", redis.Address, .. _ours.Silo("n2")]);
        using var client = await SiloClient.ConnectAsync(second.Ready, _ours.Of("alice", PeerRole.Client));
        await Eventually.SeeAsync("both nodes are there", client.Front().NodesAsync, nodes => nodes.Count == 2);

        await using var intruder = SiloProcess.Begin(
            _folder, ["--node", "n3", "--redis", redis.Address, .. Ports, .. _others.Silo("intruder")]);

        await SeeAsync(first, "Refused at the silo port: 127.0.0.1:", "(CN=intruder): its certificate is of another authority, CN=other.");
        Assert.Equal(2, (await client.Front().NodesAsync()).Count);
    }

    [Theory]
    [InlineData("silo_port", "client", "it shows one for a client, and must be a silo")]
    [InlineData("silo_port", "none", "it shows no certificate")]
    [InlineData("silo_port", "other silo", "its certificate is of another authority, CN=other")]
    [InlineData("silo_port", "expired silo", "its certificate is valid from ")]
    [InlineData("gateway_port", "none", "it shows no certificate")]
    [InlineData("gateway_port", "other client", "its certificate is of another authority, CN=other")]
    [InlineData("gateway_port", "expired client", "its certificate is valid from ")]
    public async Task Who_is_not_let_in_is_named_in_the_log(string port, string who, string reason)
    {
        await using var silo = await StartAsync("n1", _ours.Silo("n1"));
        var files = Files(who);

        var (address, isLetIn) = await Stranger.ConnectAsync(silo.Ready.GetProperty(port).GetInt32(), files);

        Assert.False(isLetIn);
        var named = files is null ? address : $"{address} (CN={who.Split(' ')[0]})";
        await SeeAsync(silo, $"Refused at the {(port == "silo_port" ? "silo port" : "gateway")}: {named}: {reason}");
    }

    [Fact]
    public async Task Who_speaks_no_TLS_is_named_too_and_who_has_the_right_certificate_is_let_in()
    {
        await using var silo = await StartAsync("n1", _ours.Silo("n1"));
        var gateway = silo.Ready.GetProperty("gateway_port").GetInt32();

        await SeeAsync(silo, $"Refused at the gateway: {await Stranger.SpeakAsync(gateway)}: it speaks no TLS.");

        Assert.True((await Stranger.ConnectAsync(gateway, _ours.Of("alice", PeerRole.Client))).IsLetIn);
        Assert.True((await Stranger.ConnectAsync(gateway, _ours.Of("n2", PeerRole.Silo))).IsLetIn);
        Assert.True((await Stranger.ConnectAsync(silo.Ready.GetProperty("silo_port").GetInt32(), _ours.Of("n2", PeerRole.Silo))).IsLetIn);
    }

    [Theory]
    [InlineData("client", "must be for a silo, got one for a client")]
    [InlineData("expired silo", "must not be over, got one that ended ")]
    [InlineData("mixed", "must be a pair in PEM")]
    public async Task A_silo_does_not_start_with_a_certificate_that_is_not_good_for_it(string which, string problem)
    {
        var files = which == "mixed" ? _ours.Of("a", PeerRole.Silo) with { Key = _ours.Of("b", PeerRole.Silo).Key } : Files(which)!;

        var (exitCode, _, errors) = await SiloProcess.RunAsync([.. Ports, "--data", _folder, .. Certificates.Options(files)]);

        Assert.Equal(2, exitCode);
        Assert.Contains(problem, Assert.Single(errors.Trim().Split('\n')));
    }

    [Fact]
    public async Task A_silo_that_others_reach_does_not_start_without_TLS_unless_told_to()
    {
        string[] reached = [.. Ports, "--data", _folder, "--advertise", "192.0.2.1"];

        var (exitCode, _, errors) = await SiloProcess.RunAsync(reached);
        Assert.Equal(2, exitCode);
        Assert.StartsWith(
            "--advertise: others reach this silo only by TLS, got 192.0.2.1 and no certificate; ",
            Assert.Single(errors.Trim().Split('\n')));

        (exitCode, _, errors) = await SiloProcess.RunAsync([.. reached, "--tls-key", "/nowhere"]);
        Assert.Equal(2, exitCode);
        Assert.StartsWith("--tls-certificate: must be given with --tls-key, got nothing; ", Assert.Single(errors.Trim().Split('\n')));

        (_, _, errors) = await SiloProcess.RunAsync([.. reached, "--insecure", "--redis", "127.0.0.1:1"]);
        Assert.StartsWith("--redis: no Redis answers", errors); // it came that far
    }

    [Fact]
    public async Task A_renewed_certificate_is_shown_from_the_next_connection_on()
    {
        var files = _ours.Of("n1", PeerRole.Silo);
        await using var silo = await StartAsync("n1", Certificates.Options(files));
        var client = _ours.Of("alice", PeerRole.Client);
        using (var before = await SiloClient.ConnectAsync(silo.Ready, client)) Assert.Single(await before.Front().NodesAsync());

        var renewed = new Certificates(Path.Combine(_folder, "renewed"));
        var next = renewed.Of("n1", PeerRole.Silo);
        File.Copy(next.Key, files.Key, overwrite: true);
        File.Copy(next.Certificate, files.Certificate, overwrite: true);
        File.Copy(next.Authority, files.Authority, overwrite: true);

        using var after = await SiloClient.ConnectAsync(silo.Ready, renewed.Of("alice", PeerRole.Client));
        Assert.Single(await after.Front().NodesAsync());
        using var http = new HttpClient();
        var metrics = await http.GetStringAsync($"http://127.0.0.1:{silo.Ready.GetProperty("http_port").GetInt32()}/metrics");
        var ends = new TlsIdentity(next, PeerRole.Silo).Expiry.ToUnixTimeSeconds();
        Assert.Contains(metrics.Split('\n'), line =>
            line.StartsWith($"phi3v_certificate_expiry_timestamp_seconds{{node=\"n1\"}} {ends}", StringComparison.Ordinal));
        Assert.False((await Stranger.ConnectAsync(silo.Ready.GetProperty("gateway_port").GetInt32(), client)).IsLetIn);
    }

    private static string[] Ports => ["--gateway-port", "0", "--silo-port", "0", "--http-port", "0"];

    private TlsFiles? Files(string who)
    {
        var role = who.EndsWith("silo", StringComparison.Ordinal) ? PeerRole.Silo : PeerRole.Client;
        return who.Split(' ')[0] switch
        {
            "none" => null,
            "other" => _others.Of("other", role),
            "expired" => _ours.Of("expired", role, DateTimeOffset.UtcNow.AddMinutes(-1)),
            var holder => _ours.Of(holder, role),
        };
    }

    private Task<SiloProcess> StartAsync(string node, string[] args) => SiloProcess.StartAsync(_folder, [.. args, "--node", node]);

    private static Task SeeAsync(SiloProcess silo, params string[] said) => Eventually.SeeAsync(
        $"the log says {string.Join(" … ", said)}",
        () => Task.FromResult(silo.Errors), errors => errors.Split('\n').Any(line => said.All(line.Contains)));
}
