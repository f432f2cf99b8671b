using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>What happens between machines: firewalls, cut connections, clusters that meet in one Redis and cannot meet otherwise.</summary>
public sealed class NetworkTests(ITestOutputHelper output) : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Of_two_nodes_that_do_not_reach_each_other_the_run_goes_on_without_one(bool withSilos)
    {
        await using var machines = await Machines.CreateAsync(_cli, 3);
        var (run, client) = await BeginAsync(machines);
        await using var _ = client;

        await machines.CloseAsync(2, 3, withSilos);

        var smaller = await SeeAsync(client, run, "two train", s => s is { WorldSize: 2, Phase: "training" });
        var later = await SeeAsync(client, run, "and go on", s => s.WorldSize == 2 && s.Step > smaller.Step + 20);
        var log = string.Join('\n', (await client.Run(run).LogAsync(0)).Lines);
        output.WriteLine(log);
        Assert.Matches(@"is left out for 60 s: the connection between rank \d \(n[23]\) and rank \d \(n[23]\) broke", log);
        Assert.InRange(later.Generation, 2, 4);
        Assert.Equal(["n1", "n2", "n3"], (await client.Cluster.NodesAsync()).Where(n => n.State == NodeState.Ready).Select(n => n.Node));
        await client.Run(run).CancelAsync();
    }

    [Fact]
    public async Task Of_two_nodes_whose_firewall_refuses_each_other_one_is_left_out_from_the_start()
    {
        await using var machines = await Machines.CreateAsync(_cli, 3);
        await using var client = await StartAsync(machines);
        await machines.CloseAsync(2, 3, withSilos: false, refuses: true);

        var ports = await CheckAsync("nodes' ports");
        Assert.False(ports.Ok);
        Assert.StartsWith($"n2 → n3 ({machines.AddressOf(3)}): refused; n3 → n2 ({machines.AddressOf(2)}): refused; ", ports.Detail);

        var run = await SubmitAsync(new TinyRun(_cli).ElasticSpec(least: 1, most: 3));

        await SeeAsync(client, run, "two train", s => s is { WorldSize: 2, Phase: "training", Step: > 20 });
        var log = string.Join('\n', (await client.Run(run).LogAsync(0)).Lines);
        output.WriteLine(log);
        Assert.Matches(@"is left out for 60 s: the connection between rank \d \(n[23]\) and rank \d \(n[23]\) broke", log);
        await client.Run(run).CancelAsync();
    }

    [Fact]
    public async Task Ranks_whose_connections_are_cut_in_a_step_connect_again()
    {
        await using var machines = await Machines.CreateAsync(_cli, 3);
        var (run, client) = await BeginAsync(machines);
        await using var _ = client;

        await machines.CutRanksConnectionsAsync(2);

        var again = await SeeAsync(client, run, "all train again", s => s is { Generation: > 1, WorldSize: 3, Phase: "training" });
        await SeeAsync(client, run, "and go on", s => s.Generation == again.Generation && s.Step > again.Step + 10);
        foreach (var line in (await client.Run(run).LogAsync(0)).Lines) output.WriteLine(line);
        Assert.Equal(2, again.Generation);
        await client.Run(run).CancelAsync();
    }

    /// <summary>Both tell others to come to 127.0.0.1, which is another machine for each.</summary>
    [Fact]
    public async Task Two_clusters_that_meet_in_one_Redis_are_told_apart_at_the_second_one_s_start()
    {
        await using var machines = await Machines.CreateAsync(_cli, 2);
        var first = machines.StartSilo(1, "--node", "one");
        await machines.UntilReadyAsync(1, first);

        var second = await machines.StartSilo(2, "--node", "two").EndAsync(CliSandbox.Timeout);

        Assert.Equal(2, second.ExitCode);
        Assert.StartsWith($"--redis: '{machines.Redis}' has another cluster, of node 'one' at 127.0.0.1:11111 on host1, ", second.Stderr);
        Assert.Single(second.Stderr.Trim().Split('\n'));
        Assert.False(first.HasEnded, first.Stderr);
    }

    /// <summary>The network is listened to: what ranks greet each other with is on it, or is not.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_the_ranks_of_two_machines_say_is_on_the_network_only_without_TLS(bool hasTls)
    {
        await using var machines = await Machines.CreateAsync(_cli, 2);
        if (hasTls) await _cli.JsonAsync(0, "certs", "--to", "certs", "--silo", "n1", "--silo", "n2", "--client", "alice");
        using var wire = new Wire(machines.AddressOf(1), machines.AddressOf(2), Machines.GatewayPort, Machines.SiloPort);
        var silos = new List<RunningProcess>();
        foreach (var machine in (int[])[1, 2])
        {
            string[] tls = ["--tls-certificate", _cli.At($"certs/n{machine}.crt"), "--tls-key", _cli.At($"certs/n{machine}.key"),
                "--tls-authority", _cli.At("certs/authority.crt")];
            silos.Add(machines.StartSilo(
                machine, ["--advertise", machines.AddressOf(machine), "--node", $"n{machine}", .. hasTls ? tls : ["--insecure"]]));
            await machines.UntilReadyAsync(machine, silos[^1]);
        }
        _cli.Set("PHI3V_CLUSTER", $"{machines.GatewayOf(1)}");
        foreach (var (variable, file) in hasTls ? ((string, string)[])
            [("PHI3V_TLS_CERTIFICATE", "alice.crt"), ("PHI3V_TLS_KEY", "alice.key"), ("PHI3V_TLS_AUTHORITY", "authority.crt")] : [])
            _cli.Set(variable, _cli.At($"certs/{file}"));

        Assert.Equal((true, "all 2 pairs reach each other where ranks listen"), await CheckAsync("nodes' ports"));

        var run = await SubmitAsync(new TinyRun(_cli).Spec());
        var end = await _cli.JsonAsync(0, "watch", run);

        Assert.Equal("done", end.GetProperty("state").GetString());
        Assert.Equal(2, end.GetProperty("world_size").GetInt32());
        var said = wire.Said;
        output.WriteLine($"{said.Length} bytes between the ranks");
        Assert.True(said.Length > 100_000, $"{said.Length} bytes were seen");
        Assert.Equal(!hasTls, said.AsSpan().IndexOf("GRV3IHP"u8) >= 0);
        Assert.All(silos, silo => Assert.DoesNotContain("Refused", silo.Stderr));
    }

    /// <summary>A row of <c>phi3v doctor</c>.</summary>
    private async Task<(bool Ok, string? Detail)> CheckAsync(string check)
    {
        var doctor = await _cli.RunAsync("doctor", "--json"); // its exit code is of all rows
        using var rows = JsonDocument.Parse(doctor.Stdout);
        var row = Assert.Single(rows.RootElement.EnumerateArray(), row => row.GetProperty("check").GetString() == check);
        output.WriteLine($"{row}");
        return (row.GetProperty("ok").GetBoolean(), row.GetProperty("detail").GetString());
    }

    private async Task<(string Run, GatewayClient Client)> BeginAsync(Machines machines)
    {
        var client = await StartAsync(machines);
        var run = await SubmitAsync(new TinyRun(_cli).ElasticSpec(least: 1, most: 3));
        await SeeAsync(client, run, "three train", s => s is { WorldSize: 3, Phase: "training", Step: > 3 });
        return (run, client);
    }

    private async Task<GatewayClient> StartAsync(Machines machines)
    {
        foreach (var machine in (int[])[1, 2, 3]) // the first one has the cluster's grain, and the runs' are there
            await machines.UntilReadyAsync(machine, machines.StartSilo(machine));
        var client = await GatewayClient.ConnectAsync(machines.GatewayOf(1));
        _cli.Set("PHI3V_CLUSTER", $"{machines.GatewayOf(1)}");
        return client;
    }

    /// <summary>Asks again where a gateway on this busy machine takes longer than the CLI waits for one that may not be there.</summary>
    private async Task<string> SubmitAsync(string spec)
    {
        const int noCluster = 3;
        ProcessResult result = null!;
        await Eventually.Holds(
            async () => (result = await _cli.RunAsync("submit", spec, "--json")).ExitCode != noCluster,
            CliSandbox.Timeout,
            () => $"{result}");
        Assert.True(result.ExitCode == 0, $"{result}");
        return JsonDocument.Parse(result.Stdout).RootElement.GetProperty("run").GetString()!;
    }

    private async Task<RunStatus> SeeAsync(GatewayClient client, string run, string what, Func<RunStatus, bool> good)
    {
        try
        {
            return await GatewayClient.SeeAsync(what, client.Run(run).StatusAsync, good);
        }
        catch
        {
            foreach (var line in (await client.Run(run).LogAsync(0)).Lines) output.WriteLine(line);
            throw;
        }
    }
}
