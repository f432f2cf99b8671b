using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>Several silos of one machine: started, hurt, stopped. Training is not asked of them here.</summary>
public sealed class SeveralSilosTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Three_silos_are_one_cluster_and_down_leaves_nothing_of_it()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3, ranks: 2);

        var nodes = (await _cli.JsonAsync(0, "nodes")).EnumerateArray()
            .Select(n => (n.GetProperty("node").GetString(), n.GetProperty("state").GetString(), n.GetProperty("ranks").GetInt32(),
                n.GetProperty("process_id").GetInt32()));
        Assert.Equal(
            ((string[])["n1", "n2", "n3"]).Select(node => ((string?)node, (string?)"ready", 2, cluster.Silo(node)!.Value)), nodes);
        var first = cluster.Up.GetProperty("silos")[0];
        foreach (var same in (string[])["node", "gateway_port", "silo_port", "http_port"])
            Assert.Equal(first.GetProperty(same).ToString(), cluster.Up.GetProperty(same).ToString());
        Assert.Equal(5, cluster.Processes.Count);
        Assert.Equal(["127.0.0.1"], ListenAddresses(cluster.StorePort));

        await cluster.DownAsync();

        Assert.Empty(ReadyFiles());
        Assert.Equal(3, (await _cli.RunAsync("nodes")).ExitCode);
        Assert.Equal(3, (await _cli.RunAsync("down")).ExitCode);
        Assert.Equal("", cluster.SupervisorLog());
    }

    [Fact]
    public async Task A_run_has_a_rank_on_each_of_three_silos_and_down_asks_before_it_waits()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var tiny = new TinyRun(_cli);
        var client = await cluster.ClientAsync();

        var run = (await _cli.JsonAsync(0, "submit", tiny.Spec(ranks: 3, epochs: 1))).GetProperty("run").GetString()!;
        var done = await GatewayClient.SeeAsync("the run ends", client.Run(run).StatusAsync, status => status.IsFinal);
        Assert.Equal((RunState.Done, null, 3), (done.State, done.Error, done.WorldSize));
        Assert.Equal(["n1", "n2", "n3"], done.Nodes.Select(n => n.Node).Order());

        var endless = (await _cli.JsonAsync(0, "submit", tiny.EndlessSpec(ranks: 3))).GetProperty("run").GetString()!;
        await GatewayClient.SeeAsync("the other one runs", client.Run(endless).StatusAsync, status => status.State == RunState.Running);
        var down = await _cli.RunAsync("down");
        Assert.Equal(1, down.ExitCode);
        Assert.StartsWith($"phi3v: not stopped: {endless} would wait for the next `phi3v up`; ", down.Stderr);
        await cluster.DownAsync();
    }

    [Fact]
    public async Task A_killed_silo_is_lost_and_comes_back_under_its_name_at_another_address()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var before = (await cluster.SeeReadyAsync("n1", "n2", "n3")).Single(n => n.Node == "n2");

        cluster.Kill("n2");

        await cluster.SeeNodesAsync("n2 is not what it was",
            nodes => !nodes.Any(n => n.Silo == before.Silo && n.State == NodeState.Ready));
        await cluster.UntilReplacedAsync(before.ProcessId, () => cluster.Silo("n2"), "n2 is started again");
        var after = (await cluster.SeeReadyAsync("n1", "n2", "n3")).Single(n => n.Node == "n2");
        Assert.Equal(cluster.Silo("n2"), after.ProcessId);
        Assert.NotEqual(before.Silo, after.Silo);
        Assert.Equal(before.Silo.Split('@')[0], after.Silo.Split('@')[0]); // the same ports
        Assert.Collection(cluster.SupervisorLog().Split('\n', StringSplitOptions.RemoveEmptyEntries),
            line => Assert.Contains($"silo n2 (process {before.ProcessId}) ended, killed by signal 9; it is started again in 0.5 s", line),
            line => Assert.EndsWith($"silo n2 is back, process {after.ProcessId}", line));

        cluster.Kill("n1"); // the one that commands ask first; the cluster's grain may have been there and hears the nodes anew
        await Eventually.Holds(
            async () => await _cli.RunAsync("nodes", "--json") is { ExitCode: 0 } asked
                && JsonDocument.Parse(asked.Stdout).RootElement.GetArrayLength() == 3,
            CliSandbox.Timeout, () => "commands go through the other gateways");
        await cluster.DownAsync();
    }

    [Fact]
    public async Task A_silo_that_dies_while_nobody_watches_is_lost_until_somebody_does()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var before = (await cluster.SeeReadyAsync("n1", "n2", "n3")).Single(n => n.Node == "n3");

        using (cluster.WithoutSupervisor())
        {
            cluster.Kill("n3");
            await cluster.SeeNodesAsync(
                "n3 is lost", nodes => nodes.All(n => n.Node != "n3" || n.State == NodeState.Lost));
            Assert.Equal(4, cluster.Processes.Count);
        }

        await cluster.UntilReplacedAsync(before.ProcessId, () => cluster.Silo("n3"), "n3 is started again");
        await cluster.SeeReadyAsync("n1", "n2", "n3");
        await cluster.DownAsync();
    }

    [Fact]
    public async Task A_silo_that_stands_still_for_a_moment_stays_who_it_is()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 2);
        var before = await cluster.SeeReadyAsync("n1", "n2");

        await cluster.FreezeAsync("n2", TimeSpan.FromSeconds(1));

        await (await cluster.ClientAsync("n2")).Cluster.NodesAsync(); // it answers again
        Assert.Equal(before.Select(n => n.Silo), (await cluster.SeeReadyAsync("n1", "n2")).Select(n => n.Silo));
        Assert.Equal("", cluster.SupervisorLog());
        await cluster.DownAsync();
    }

    [Fact]
    public async Task A_killed_supervisor_takes_all_with_it_and_commands_say_so()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 2);
        var supervisor = cluster.Supervisor;

        cluster.KillSupervisor();
        cluster.Kill("n2");

        await Eventually.Holds(() => cluster.Processes.Count == 0, CliSandbox.Timeout, "store and silos end with their supervisor");
        var nodes = await _cli.RunAsync("nodes");
        Assert.Equal(3, nodes.ExitCode);
        Assert.Contains($"The one that `phi3v up` started has ended: its supervisor, process {supervisor}, died", nodes.Stderr);
        var checks = (await _cli.JsonAsync(1, "doctor")).EnumerateArray();
        var check = Assert.Single(checks, r => r.GetProperty("check").GetString() == "cluster");
        Assert.Contains($"process {supervisor}, died", check.GetProperty("detail").GetString());
        Assert.Empty(ReadyFiles());

        await using var next = await LocalCluster.StartAsync(_cli, silos: 2); // whatever the killed ones left in the store
        await next.SeeReadyAsync("n1", "n2");
        await next.DownAsync();
    }

    [Fact]
    public async Task A_store_that_is_killed_comes_back_with_what_it_had()
    {
        string run;
        await using (var cluster = await LocalCluster.StartAsync(_cli, silos: 2))
        {
            run = (await (await cluster.ClientAsync()).Cluster.SubmitAsync(new SubmitRequest(TooLarge))).RunId;
            var (dead, before) = (cluster.Store!.Value, await cluster.SeeReadyAsync("n1", "n2"));

            cluster.KillStore();

            await cluster.UntilReplacedAsync(dead, () => cluster.Store, "the store is started again");
            Assert.Equal(before.Select(n => n.Silo), (await cluster.SeeReadyAsync("n1", "n2")).Select(n => n.Silo));
            var second = await (await cluster.ClientAsync()).Cluster.SubmitAsync(new SubmitRequest(TooLarge)); // it takes new state
            Assert.Empty(second.Problems);
            await cluster.DownAsync();
        }

        await using var later = await LocalCluster.StartAsync(_cli, silos: 2); // which knows no more than the store
        var runs = (await _cli.JsonAsync(0, "runs")).EnumerateArray().Select(r => r.GetProperty("run").GetString()).ToArray();
        Assert.Equal((2, true), (runs.Length, runs.Contains(run)));
        await later.DownAsync();
    }

    [Fact]
    public async Task A_store_that_cannot_live_ends_the_cluster_with_its_reason()
    {
        var broken = _cli.At("broken");
        var store = _cli.Write("phi3v-store", $"#!/bin/sh\nif [ -e {broken} ]; then echo 'no space left' >&2; exit 1; fi\n"
            + $"exec {CliSandbox.StoreExecutable} \"$@\"\n");
        File.SetUnixFileMode(store, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        _cli.Set("PHI3V_STORE", store);
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 2);

        _cli.Write("broken", "");
        cluster.KillStore();

        await Eventually.Holds(() => cluster.Processes.Count == 0, CliSandbox.Timeout, "the cluster ends");
        var nodes = await _cli.RunAsync("nodes");
        Assert.Equal(3, nodes.ExitCode);
        Assert.Matches(
            @"has ended: the store \(process \d+\) ended, .*, for the 5th time in a minute; .*store\.log ends with:\n(.*\n)*no space left",
            nodes.Stderr);
        Assert.Equal(3, (await _cli.RunAsync("down")).ExitCode);
        Assert.DoesNotContain("has ended", (await _cli.RunAsync("nodes")).Stderr); // who heard it need not hear it again
    }

    [Fact]
    public async Task A_silo_that_is_started_late_joins_unless_its_name_is_taken()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 2);

        var twin = await cluster.AddLate("n2").EndAsync(CliSandbox.Timeout);
        Assert.Equal(2, twin.ExitCode);
        Assert.StartsWith("--node: must be unique in the cluster, got 'n2'", twin.Stderr);

        cluster.AddLate("n3");
        await cluster.SeeReadyAsync("n1", "n2", "n3");
    }

    [Fact]
    public async Task Doctor_checks_all_nodes_and_leaves_nothing_on_them()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        await cluster.SeeReadyAsync("n1", "n2", "n3");

        var rows = await DoctorAsync();
        var ofNodes = rows.Where(row => row.Key.StartsWith("node", StringComparison.Ordinal));
        Assert.All(ofNodes, row => Assert.True(row.Value.Ok, row.Value.Detail));
        Assert.Matches("^at most 0.0.* s apart ", rows["nodes' clocks"].Detail);
        Assert.Equal("all 6 pairs reach each other where ranks listen", rows["nodes' ports"].Detail);
        Assert.Equal($"all see the same {_cli.At("output")}", rows["nodes' folder"].Detail);
        Assert.Contains("n1, n2, n3: ", rows["nodes' disks"].Detail);
        Assert.Matches($"^the Redis at 127.0.0.1:{cluster.StorePort}: written; there and back n1 .* ms, n2 .* ms, n3 .* ms$",
            rows["nodes' store"].Detail);
        Assert.Equal("n1, n2, n3: cpu", rows["nodes' devices"].Detail);
        Assert.DoesNotContain("nodes' certificates", rows.Keys); // they have none

        await cluster.DownAsync();
        Assert.Empty(Directory.EnumerateFiles(_cli.Folder, ".phi3v-check-*"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Doctor_names_a_node_that_stands_still_also_the_one_that_keeps_the_queue(bool isKeeper)
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        var nodes = await cluster.SeeReadyAsync("n1", "n2", "n3");
        var keeper = await (await cluster.ClientAsync()).KeeperAsync();
        var still = nodes.First(node => node.Silo == keeper == isKeeper).Node;
        var asked = cluster.Up.GetProperty("silos").EnumerateArray().First(silo => silo.GetProperty("node").GetString() != still);

        _cli.Set("PHI3V_HOME", _cli.At("elsewhere")); // where the other gateways are not known, the one that stands still among them
        using (cluster.Without(still))
        {
            var rows = await DoctorAsync("--cluster", $"127.0.0.1:{asked.GetProperty("gateway_port")}");
            Assert.Matches($"^{still}: (does not answer|is not in the cluster any more)", rows[$"node {still}"].Detail);
            Assert.Equal("all 2 pairs reach each other where ranks listen", rows["nodes' ports"].Detail);
        }
    }

    private async Task<IReadOnlyDictionary<string, (bool Ok, string Detail)>> DoctorAsync(params string[] options)
    {
        var doctor = await _cli.RunAsync(["doctor", "--json", .. options]); // its exit code is of all rows
        using var rows = JsonDocument.Parse(doctor.Stdout);
        return rows.RootElement.EnumerateArray().ToDictionary(row => row.GetProperty("check").GetString()!,
            row => (row.GetProperty("ok").GetBoolean(), row.GetProperty("detail").GetString()!));
    }

    private string[] ReadyFiles() => Directory.GetFiles(_cli.At("home"), "*ready*", SearchOption.AllDirectories);

    /// <summary>As the kernel lists who listens at a port.</summary>
    private static IEnumerable<string> ListenAddresses(int port) =>
        from table in (string[])["/proc/net/tcp", "/proc/net/tcp6"]
        from line in File.ReadLines(table).Skip(1)
        let fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
        where fields[3] == "0A" && fields[1].EndsWith($":{port:X4}", StringComparison.Ordinal)
        select fields[1].Split(':')[0] == "0100007F" ? "127.0.0.1" : fields[1];

    private const string TooLarge = """
        { "name": "large", "output": "/o", "model": { "path": "/m" }, "data": { "train": "/t" },
          "cluster": { "minRanks": 64, "maxRanks": 64 } }
        """;
}
