using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Tests.Processes;

public sealed class SiloProcessTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;

    [Fact]
    public async Task A_silo_says_how_to_reach_it_answers_over_http_and_ends_with_its_standard_input()
    {
        await using var silo = await SiloProcess.StartAsync(_folder, "--node", "n1");
        Assert.Equal(("n1", silo.Id), (silo.Ready.GetProperty("node").GetString(), silo.Ready.GetProperty("process_id").GetInt32()));

        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{silo.Ready.GetProperty("http_port").GetInt32()}") };
        foreach (var health in (string[])["/health", "/health/live", "/health/ready"])
            Assert.Equal("Active\n", await http.GetStringAsync(health));
        var port = $"{http.BaseAddress.Port}";
        Assert.Equal((0, "Active\n"), await ProbeAsync(port));
        Assert.Contains("orleans_", await http.GetStringAsync("/metrics"));
        using (var client = await SiloClient.ConnectAsync(silo.Ready))
        {
            var node = Assert.Single(await client.Front().NodesAsync());
            Assert.Equal(("n1", silo.Id, 2, NodeState.Ready), (node.Node, node.ProcessId, node.Ranks, node.State));
        }

        silo.CloseStandardInput();
        Assert.Equal(0, await silo.ExitAsync());
        Assert.Equal(1, (await ProbeAsync(port)).ExitCode);
    }

    private static async Task<(int ExitCode, string Output)> ProbeAsync(string port)
    {
        var (exitCode, output, _) = await SiloProcess.RunAsync("--probe", "--http-port", port);
        return (exitCode, output);
    }

    [Fact]
    public async Task A_queued_run_outlives_a_killed_silo()
    {
        string run;
        await using (var first = await SiloProcess.StartAsync(_folder))
        {
            using var client = await SiloClient.ConnectAsync(first.Ready);
            run = (await client.Front().SubmitAsync(new SubmitRequest(TooLarge))).RunId;
            first.Kill();
        }

        await using var second = await SiloProcess.StartAsync(_folder);
        using var again = await SiloClient.ConnectAsync(second.Ready);

        await Eventually.SeeAsync("the run waits again", () => again.Run(run).StatusAsync(),
            s => s is { State: RunState.Queued, WaitingFor: "64 ranks; the cluster has 2, 2 of them free" });
    }

    [Fact]
    public async Task A_run_for_devices_that_a_cluster_of_one_node_has_not_is_refused()
    {
        await using var silo = await SiloProcess.StartAsync(_folder);
        Assert.SkipWhen(Directory.Exists("/proc/driver/nvidia"), "this machine has a GPU");
        using var client = await SiloClient.ConnectAsync(silo.Ready);

        var spec = TooLarge.Replace("\"minRanks\"", "\"device\": \"cuda\", \"minRanks\"");
        var reply = await client.Front().SubmitAsync(new SubmitRequest(spec));

        Assert.StartsWith("cluster.device: this cluster is one node, and it has cpu, got cuda; ", Assert.Single(reply.Problems));
        Assert.Empty(await client.Front().RunsAsync());
    }

    [Fact]
    public async Task A_port_in_use_is_named_in_one_sentence()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;

        var (exitCode, _, errors) = await SiloProcess.RunAsync(
            "--gateway-port", $"{port}", "--silo-port", "0", "--http-port", "0", "--data", _folder);

        Assert.Equal(2, exitCode);
        Assert.Equal($"--gateway-port: port {port} is in use; stop what uses it, or choose another, 0 for any free one.", errors.Trim());
    }

    [Fact]
    public async Task A_Redis_that_does_not_answer_is_named_in_one_sentence()
    {
        var (exitCode, _, errors) = await SiloProcess.RunAsync(
            "--redis", "127.0.0.1:1", "--gateway-port", "0", "--silo-port", "0", "--http-port", "0");

        Assert.Equal(2, exitCode);
        Assert.Equal("--redis: no Redis answers at '127.0.0.1:1'; start it, or correct the address, host:port.", errors.Trim());
    }

    [Fact]
    public async Task A_folder_in_use_and_wrong_options_are_the_users_mistakes()
    {
        await using var silo = await SiloProcess.StartAsync(_folder);
        var (exitCode, _, errors) = await SiloProcess.RunAsync(
            "--gateway-port", "0", "--silo-port", "0", "--http-port", "0", "--data", Path.Combine(_folder, "data"));
        Assert.Equal(2, exitCode);
        Assert.StartsWith("--data: the folder ", errors);

        var (wrong, _, problems) = await SiloProcess.RunAsync("--ranks", "0", "--node", "a@b", "--advertise", "nowhere");
        Assert.Equal(2, wrong);
        Assert.Equal(3, problems.Trim().Split('\n').Length);

        (wrong, _, problems) = await SiloProcess.RunAsync("--role", "control", "--ranks", "3", "--redis-user", "me", "--min-gpus", "-1",
            "--scheduled-events", "169.254.169.254");
        Assert.Equal(2, wrong);
        Assert.Equal(["--min-gpus:", "--ranks:", "--redis-user:", "--role:", "--scheduled-events:"],
            problems.Trim().Split('\n').Select(p => p.Split(' ')[0]).Order());
    }

    [Fact]
    public async Task The_check_prints_rows_and_agrees_with_its_exit_code()
    {
        var (exitCode, output, _) = await SiloProcess.RunAsync("--check");

        var rows = JsonDocument.Parse(output).RootElement.EnumerateArray().ToList();
        Assert.Contains(rows, r => r.GetProperty("check").GetString() == "libtorch");
        Assert.All(rows, r => Assert.NotEqual("", r.GetProperty("detail").GetString()));
        Assert.Equal(rows.TrueForAll(r => r.GetProperty("ok").GetBoolean()) ? 0 : 1, exitCode);
    }

    [Fact]
    public async Task Silos_that_share_a_Redis_are_one_cluster_and_keep_their_state_there()
    {
        await using var redis = await RedisProcess.StartAsync(_folder);
        await using var first = await SiloProcess.StartAsync(_folder, "--redis", redis.Address, "--node", "n1");
        await using var second = await SiloProcess.StartAsync(_folder, "--redis", redis.Address, "--node", "n2");
        using var client = await SiloClient.ConnectAsync(second.Ready);
        await Eventually.SeeAsync(
            "both nodes are there", client.Front().NodesAsync,
            nodes => nodes.Select(n => n.Node).SequenceEqual(["n1", "n2"]));

        var run = (await client.Front().SubmitAsync(new SubmitRequest(TooLarge))).RunId;

        await Eventually.SeeAsync("the run waits",
            () => client.Run(run).StatusAsync(),
            s => s.WaitingFor == "64 ranks; the cluster has 4, 4 of them free");
        var keys = await redis.KeysAsync();
        Assert.Contains(keys, k => k.Contains("/state/", StringComparison.Ordinal) && k.Contains(run, StringComparison.Ordinal));
        Assert.Contains(keys, k => k.Contains("/state/", StringComparison.Ordinal) && k.Contains("cluster", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Of_two_nodes_of_one_name_the_second_refuses_and_names_the_first()
    {
        await using var redis = await RedisProcess.StartAsync(_folder);
        await using (var first = await SiloProcess.StartAsync(_folder, "--redis", redis.Address, "--node", "same"))
        {
            var (exitCode, _, errors) = await SiloProcess.RunAsync(
                "--redis", redis.Address, "--node", "same", "--gateway-port", "0", "--silo-port", "0", "--http-port", "0");

            Assert.Equal(2, exitCode);
            var at = $"127.0.0.1:{first.Ready.GetProperty("silo_port").GetInt32()}";
            Assert.StartsWith($"--node: must be unique in the cluster, got 'same', which is the node at {at} on ", errors);
            Assert.Single(errors.Trim().Split('\n'));
            first.Kill();
            await first.ExitAsync();
        }

        // A node that was killed keeps no name.
        await using var again = await SiloProcess.StartAsync(_folder, "--redis", redis.Address, "--node", "same");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private const string TooLarge =
        """{ "name": "large", "output": "/o", "model": { "path": "/m" }, "data": { "train": "/t" },"""
        + """ "cluster": { "minRanks": 64, "maxRanks": 64 } }""";
}
