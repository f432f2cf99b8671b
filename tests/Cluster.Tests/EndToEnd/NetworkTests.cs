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

    private async Task<(string Run, GatewayClient Client)> BeginAsync(Machines machines)
    {
        foreach (var machine in (int[])[1, 2, 3]) // the first one has the cluster's grain, and the runs' are there
            await machines.UntilReadyAsync(machine, machines.StartSilo(machine));
        var client = await GatewayClient.ConnectAsync(machines.GatewayOf(1));
        _cli.Set("PHI3V_CLUSTER", $"{machines.GatewayOf(1)}");
        var run = (await _cli.JsonAsync(0, "submit", new TinyRun(_cli).ElasticSpec(least: 1, most: 3))).GetProperty("run").GetString()!;
        await SeeAsync(client, run, "three train", s => s is { WorldSize: 3, Phase: "training", Step: > 3 });
        return (run, client);
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
