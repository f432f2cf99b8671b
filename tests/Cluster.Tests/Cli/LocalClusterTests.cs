using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.Cli;

public sealed class LocalClusterTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task Up_starts_one_silo_that_stays_and_down_stops_it()
    {
        var silo = FakeSilo.ThatGetsReady(_cli);
        var ports = FreePorts.Take();

        var up = await _cli.JsonAsync(0, ["up", "--ranks", "3", .. ports.Options]);
        Assert.Equal((silo.ProcessId, ports.Gateway), (up.GetProperty("process_id").GetInt32(), up.GetProperty("gateway_port").GetInt32()));
        Assert.Contains("--ranks 3", silo.Arguments);
        Assert.DoesNotContain("--until-stdin-closes", silo.Arguments);
        Assert.True(silo.IsRunning);

        var again = await _cli.RunAsync(["up", .. ports.Options]);
        Assert.Equal(2, again.ExitCode);
        Assert.Contains($"up already, got process {silo.ProcessId} at 127.0.0.1:{ports.Gateway}", again.Stderr);

        await _cli.JsonAsync(0, "down");
        Assert.False(silo.IsRunning);
        Assert.Equal(3, (await _cli.RunAsync("down")).ExitCode);
    }

    [Fact]
    public async Task Up_passes_name_and_address_on_and_keeps_what_earlier_silos_said()
    {
        var silo = FakeSilo.ThatGetsReady(_cli);
        _cli.Write("home/silo.log", "why the last one ended\n");

        await _cli.JsonAsync(0, ["up", "--node", "one", "--advertise", "10.1.2.3", .. FreePorts.Take().Options]);

        Assert.Contains("--node one", silo.Arguments);
        Assert.Contains("--advertise 10.1.2.3", silo.Arguments);
        Assert.StartsWith("why the last one ended", File.ReadAllText(_cli.At("home/silo.log")));
        await _cli.JsonAsync(0, "down");
    }

    [Fact]
    public async Task What_a_killed_silo_left_behind_does_not_stop_the_next_one()
    {
        var silo = FakeSilo.ThatGetsReady(_cli);
        var ports = FreePorts.Take();
        await _cli.JsonAsync(0, ["up", .. ports.Options]);
        var first = silo.ProcessId;
        System.Diagnostics.Process.GetProcessById(first).Kill();
        await Eventually.Holds(() => !silo.IsRunning, CliSandbox.Timeout, "the killed silo is gone");

        await _cli.JsonAsync(0, ["up", .. ports.Options]);

        Assert.NotEqual(first, silo.ProcessId);
        await _cli.JsonAsync(0, "down");
    }

    [Fact]
    public async Task A_silo_that_cannot_start_for_a_full_disk_is_told_so()
    {
        using var disk = SmallDisk.Mount(_cli.At("small"), megabytes: 1);
        _cli.Set("PHI3V_HOME", _cli.At("small"));
        disk.Fill();

        var result = await _cli.RunAsync(["up", "--ranks", "1", .. FreePorts.Take().Options]);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains($"; no space is left in {_cli.At("small")}; make room there", result.Stderr);
    }

    [Fact]
    public async Task Up_on_a_port_in_use_names_the_port_and_its_option()
    {
        var silo = FakeSilo.ThatGetsReady(_cli);
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        var (taken, ports) = (((IPEndPoint)other.LocalEndpoint).Port, FreePorts.Take());

        var result = await _cli.RunAsync(
            "up", "--gateway-port", $"{ports.Gateway}", "--silo-port", $"{ports.Silo}", "--http-port", $"{taken}");

        Assert.Equal((2, $"phi3v: --http-port: the port is in use, got {taken}; choose another with --http-port.\n"),
            (result.ExitCode, result.Stderr));
        Assert.False(silo.HasStarted);
    }

    [Theory]
    [InlineData("0", "--silos: must be 1 to 64, got 0; choose another number.")]
    [InlineData("3 --ranks 0", "--ranks: must be at least 1, got 0; raise it.")]
    [InlineData("3 --redis here:6379", "--redis: several silos of one `up` share a store of their own, got here:6379 and --silos 3; "
        + "leave --redis out, or start each silo by itself with a PHI3V_HOME, ports and --node of its own (docs/cluster.md).")]
    [InlineData("2 --advertise 10.0.0.1", "--advertise: several silos of one `up` are reached from this machine only, got 10.0.0.1 and "
        + "--silos 2; leave it out, or use a Redis and `up` on each machine (docs/cluster.md).")]
    [InlineData("2 --node one", "--node: several silos of one `up` are n1 to n2, got one and --silos 2; leave it out.")]
    public async Task Up_of_several_silos_says_what_does_not_go_with_it(string silos, string problem)
    {
        var silo = FakeSilo.ThatGetsReady(_cli);

        var result = await _cli.RunAsync(["up", .. FreePorts.TakeFor(3).Options, "--silos", .. silos.Split(' ')]);

        Assert.Equal((2, $"phi3v: {problem}\n"), (result.ExitCode, result.Stderr));
        Assert.False(silo.HasStarted);
    }

    [Fact]
    public async Task Up_of_several_silos_looks_at_the_ports_of_all()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        var taken = ((IPEndPoint)other.LocalEndpoint).Port;

        var result = await _cli.RunAsync(
            ["up", "--silos", "3", .. FreePorts.TakeFor(3).Options[..4], "--http-port", $"{taken - 2}"]); // the third silo's

        Assert.Equal((2, true), (result.ExitCode, result.Stderr.Contains($"--http-port: the port is in use, got {taken};")));
    }

    [Fact]
    public async Task Up_of_several_silos_without_a_store_to_start_says_where_it_looked()
    {
        _cli.Set("PHI3V_STORE", _cli.At("nothing"));

        var result = await _cli.RunAsync(["up", "--silos", "2", .. FreePorts.TakeFor(2).Options]);

        Assert.Equal(
            (1, $"phi3v: phi3v-store: not found, looked for {_cli.At("nothing")}; build the solution, or set PHI3V_STORE to its path.\n"),
            (result.ExitCode, result.Stderr));
        Assert.Empty(_cli.Processes());
    }

    [Fact]
    public async Task A_silo_of_several_that_ends_at_its_start_ends_them_all_and_is_named()
    {
        FakeSilo.ThatEndsAtOnce(_cli, "no such device: cuda:9");

        var result = await _cli.RunAsync(["up", "--silos", "2", .. FreePorts.TakeFor(2).Options]);

        Assert.Equal(1, result.ExitCode);
        Assert.Matches("^phi3v: silo n[12] ended at its start \\(exit code 7\\)", result.Stderr);
        Assert.Contains("no such device: cuda:9", result.Stderr);
        Assert.Empty(_cli.Processes());
        Assert.Equal("phi3v: nothing is up on this machine.\n", (await _cli.RunAsync("down")).Stderr);
    }

    [Fact]
    public async Task A_silo_that_ends_at_its_start_is_reported_with_its_last_words()
    {
        FakeSilo.ThatEndsAtOnce(_cli, "no such device: cuda:9");

        var result = await _cli.RunAsync(["up", .. FreePorts.Take().Options]);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("exit code 7", result.Stderr);
        Assert.Contains("no such device: cuda:9", result.Stderr);
        Assert.Equal(3, (await _cli.RunAsync("down")).ExitCode);
    }

    [Theory]
    [InlineData(RunningProcess.Interrupt)]
    [InlineData(RunningProcess.Terminate)]
    public async Task Interrupting_a_waiting_submit_leaves_no_process_and_no_folder(int signal)
    {
        var silo = FakeSilo.ThatNeverGetsReady(_cli);
        await using var submit = _cli.Start("submit", WriteGoodSpec(), "--wait");
        await Eventually.Holds(() => silo.HasStarted, CliSandbox.Timeout, "the local silo starts");

        submit.Signal(signal);
        var result = await submit.EndAsync(CliSandbox.Timeout);

        Assert.Equal(130, result.ExitCode);
        await Eventually.Holds(() => !silo.IsRunning, CliSandbox.Timeout, "the local silo is gone");
        Assert.Empty(Directory.EnumerateDirectories(_cli.At("tmp"), "phi3v-local-*"));
    }

    [Fact]
    public async Task A_submit_whose_dotnet_run_is_killed_ends_as_if_interrupted()
    {
        var silo = FakeSilo.ThatNeverGetsReady(_cli);
        var dotnet = _cli.Write("dotnet", "#!/bin/sh\n\"$@\" &\nwait\n"); // a parent of that name that passes no signal on
        File.SetUnixFileMode(dotnet, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await using var parent = _cli.StartOther(dotnet, CliSandbox.Executable, "submit", WriteGoodSpec(), "--wait");
        await Eventually.Holds(() => silo.HasStarted, CliSandbox.Timeout, "the local silo starts");

        parent.Signal(RunningProcess.Kill);

        await Eventually.Holds(() => !silo.IsRunning, CliSandbox.Timeout, "the local silo is gone");
        await Eventually.Holds(() => !Directory.EnumerateDirectories(_cli.At("tmp"), "phi3v-local-*").Any(),
            CliSandbox.Timeout, "its folder is gone");
    }

    [Fact]
    public async Task Killing_a_waiting_submit_ends_its_silo()
    {
        var silo = FakeSilo.ThatNeverGetsReady(_cli);
        await using var submit = _cli.Start("submit", WriteGoodSpec(), "--wait");
        await Eventually.Holds(() => silo.HasStarted, CliSandbox.Timeout, "the local silo starts");

        submit.Signal(RunningProcess.Kill);

        await Eventually.Holds(() => !silo.IsRunning, CliSandbox.Timeout, "the local silo sees its pipe close and ends");
    }

    [Fact]
    public async Task A_local_silo_that_does_not_answer_fails_the_command_and_is_stopped()
    {
        var silo = FakeSilo.ThatGetsReady(_cli);

        var result = await _cli.RunAsync("submit", WriteGoodSpec(), "--wait", "--set", "cluster.minRanks=2", "--set", "cluster.maxRanks=2");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("the local silo", result.Stderr);
        Assert.Contains("--ranks 2", silo.Arguments);
        Assert.Contains("--until-stdin-closes", silo.Arguments);
        Assert.False(silo.IsRunning);
        Assert.Empty(Directory.EnumerateDirectories(_cli.At("tmp"), "phi3v-local-*"));
    }

    [Fact]
    public async Task Doctor_passes_the_silo_s_own_checks_on_and_fails_with_them()
    {
        FakeSilo.WhoseChecksSay(_cli, ("libtorch", true, "2.10"), ("device", false, "no driver"));

        var rows = (await _cli.JsonAsync(1, "doctor")).EnumerateArray()
            .ToDictionary(r => r.GetProperty("check").GetString()!,
                r => (r.GetProperty("ok").GetBoolean(), r.GetProperty("detail").GetString()));

        Assert.Equal((true, "2.10"), rows["libtorch"]);
        Assert.Equal((false, "no driver"), rows["device"]);
        Assert.True(rows[".NET runtime"].Item1);
        Assert.Equal((true, "none configured; commands that wait start their own"), rows["cluster"]);
    }

    private string WriteGoodSpec()
    {
        _cli.Write("model/config.json", "{}");
        _cli.Write("model/model.safetensors", "");
        _cli.Write("train.jsonl", "");
        return _cli.Write("good.yaml", "model: { path: model }\ndata: { train: 'train*.jsonl' }\n");
    }
}
