using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Monitoring.Tests.Live;

/// <summary>
/// Three machines with an address each, which talk to each other, to Redis, to the CLI and to Prometheus by TLS alone: what is watched on
/// one machine in the clear is watched there alike.
/// </summary>
public sealed class SecuredMachinesTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Every_rule_and_every_panel_finds_the_data_of_machines_that_trust_nobody()
    {
        Promtool.Require("prometheus");
        await using var machines = await Machines.CreateWithoutRedisAsync(_cli, 3);
        string[] silos = ["n1", "n2", "n3"], servers = [machines.Host, .. silos.Select((_, i) => machines.AddressOf(i + 1))];
        await _cli.JsonAsync(0, ["certs", "--to", "certs", "--client", "alice", .. silos.SelectMany(silo => (string[])["--silo", silo]),
            .. servers.SelectMany(server => (string[])["--server", server])]);
        await machines.StartRedisAsync("--port", "0", "--tls-port", "6379", "--tls-ca-cert-file", Cert("authority.crt"),
            "--tls-cert-file", Cert($"{machines.Host}.crt"), "--tls-key-file", Cert($"{machines.Host}.key"),
            "--aclfile", _cli.Write("users.acl", "user default off\nuser phi3v on >secret ~* &* +@all\n"));
        var password = _cli.Write("password", "secret");
        var running = new Dictionary<string, RunningProcess>();
        foreach (var silo in silos) await StartAsync(silo);
        _cli.Set("PHI3V_CLUSTER", $"{machines.GatewayOf(1)}");
        _cli.Set("PHI3V_TLS_CERTIFICATE", Cert("alice.crt"));
        _cli.Set("PHI3V_TLS_KEY", Cert("alice.key"));
        _cli.Set("PHI3V_TLS_AUTHORITY", Cert("authority.crt"));
        await using var prometheus = await PrometheusServer.StartAsync(
            _cli, silos.Select((_, i) => $"{machines.AddressOf(i + 1)}:8080"), Cert("authority.crt"));

        var watched = new WatchedRuns(_cli, prometheus);
        var run = await watched.TrainAsync(async node =>
        {
            running[node].Signal(RunningProcess.Kill);
            await running[node].EndAsync(CliSandbox.Timeout);
            await StartAsync(node);
        });

        await watched.FindAllAsync(run);

        async Task StartAsync(string node)
        {
            var machine = Array.IndexOf(silos, node) + 1;
            var address = machines.AddressOf(machine);
            var silo = machines.StartSilo(machine, "--node", node, "--advertise", address,
                "--redis", $"{machines.Redis},ssl=true", "--redis-authority", Cert("authority.crt"), "--redis-user", "phi3v",
                "--redis-password-file", password, "--tls-certificate", Cert($"{node}.crt"), "--tls-key", Cert($"{node}.key"),
                "--tls-authority", Cert("authority.crt"),
                "--http-certificate", Cert($"{address}.crt"), "--http-key", Cert($"{address}.key"));
            await machines.UntilReadyAsync(machine, silo);
            Assert.False(silo.HasEnded, silo.Stderr);
            running[node] = silo;
        }
    }

    private string Cert(string file) => _cli.At($"certs/{file}");
}
