using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.Cli;

public sealed class InputTests : IDisposable
{
    private static readonly TimeSpan NoClusterDeadline = TimeSpan.FromSeconds(10);

    private readonly CliSandbox _cli = new();

    public static TheoryData<string> Verbs =>
    [
        "quickstart", "up", "down", "nodes", "submit", "runs", "status", "watch", "logs", "cancel", "validate", "generate", "eval",
        "inspect", "merge", "download", "recipes", "doctor",
    ];

    public void Dispose() => _cli.Dispose();

    [Theory]
    [MemberData(nameof(Verbs))]
    public async Task Help_of_every_verb_shows_an_example_and_json(string verb)
    {
        var help = await _cli.RunAsync(verb, "--help");

        Assert.Equal(0, help.ExitCode);
        Assert.Contains($"Example:\n  phi3v {verb}", help.Stdout);
        Assert.Contains("--json", help.Stdout);
    }

    [Theory]
    [InlineData("there is no verb 'sumbit'; did you mean submit? See `phi3v --help`.", "sumbit", "run.yaml")]
    [InlineData("there is no option '--jsn'; did you mean --json? See `phi3v runs --help`.", "runs", "--jsn")]
    [InlineData(
        "'b=2' is one word too many; write --set before each. See `phi3v submit --help`.", "submit", "a.yaml", "--set", "a=1", "b=2")]
    [InlineData("'extra' is one word too many. See `phi3v runs --help`.", "runs", "extra")]
    [InlineData("Required argument missing for command: 'status'. See `phi3v status --help`.", "status")]
    [InlineData("--ranks: must be a whole number, got two. See `phi3v up --help`.", "up", "--ranks", "two")]
    [InlineData("--cluster: must be host:port, got nowhere; write for example 127.0.0.1:30000.", "runs", "--cluster", "nowhere")]
    [InlineData("--cluster: must be host:port, got a:99999; write for example 127.0.0.1:30000.", "runs", "--cluster", "a:99999")]
    public async Task A_wrong_command_line_gives_one_message_and_exit_code_2(string message, params string[] arguments)
    {
        var result = await _cli.RunAsync(arguments);

        Assert.Equal((2, "", $"phi3v: {message}\n"), (result.ExitCode, result.Stdout, result.Stderr));
    }

    [Fact]
    public async Task Without_a_verb_help_goes_to_stderr_and_the_exit_code_is_2()
    {
        var result = await _cli.RunAsync();

        Assert.Equal((2, ""), (result.ExitCode, result.Stdout));
        Assert.Contains("quickstart", result.Stderr);
    }

    [Theory]
    [InlineData("--wait")]
    [InlineData("--json")]
    public async Task A_bad_spec_gives_all_its_problems_and_starts_nothing(string option)
    {
        var silo = FakeSilo.ThatNeverGetsReady(_cli);
        var spec = _cli.Write("bad.yaml", "modle: { path: x }\nepochs: many\ndata: { train: nothing-*.jsonl }\nbatch: { global: 0 }\n");

        var result = await _cli.RunAsync("submit", spec, option, "--set", "seed=x");

        Assert.Equal((2, ""), (result.ExitCode, result.Stdout));
        Assert.Equal(
            ["modle", "epochs", "seed", "model.path", "batch.global", "data.train"],
            result.Stderr.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l["phi3v: ".Length..].Split(':')[0]));
        Assert.False(silo.HasStarted);
        Assert.False(Directory.Exists(_cli.At("output")));
    }

    [Fact]
    public async Task A_file_that_is_no_YAML_names_its_line()
    {
        var result = await _cli.RunAsync("submit", _cli.Write("broken.yaml", "a: 1\n b: 2\n"));

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("broken.yaml:2: not YAML", result.Stderr);
    }

    [Fact]
    public async Task A_good_spec_without_a_cluster_says_how_to_start_one_and_exits_3()
    {
        var result = await _cli.RunAsync("submit", WriteGoodSpec());

        Assert.Equal((3, ""), (result.ExitCode, result.Stdout));
        Assert.Contains("--wait runs it here and stays to its end; or start one with `phi3v up`", result.Stderr);
    }

    [Fact]
    public async Task Unknown_names_come_with_all_other_mistakes_and_start_nothing()
    {
        var silo = FakeSilo.ThatNeverGetsReady(_cli);

        var result = await _cli.RunAsync("submit", WriteGoodSpec(), "--wait", "--set", "method.kind=lroa",
            "--set", "data.kind=conversation",
            "--set", "epochs=0", "--set", "data.workers=100000");

        Assert.Equal(2, result.ExitCode);
        Assert.Equal(["epochs", "data.workers", "method.kind", "data.kind"],
            result.Stderr.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l["phi3v: ".Length..].Split(':')[0]));
        Assert.Contains("did you mean lora?", result.Stderr);
        Assert.False(silo.HasStarted);
    }

    [Fact]
    public async Task A_spec_may_come_from_standard_input()
    {
        await using var submit = _cli.Start("submit", "-");
        await submit.WriteAsync("epochs: none\n");

        var result = await submit.EndAsync(CliSandbox.Timeout);

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("epochs: must be a whole number (line 1), got none", result.Stderr);
    }

    [Theory]
    [InlineData("TMPDIR", "TMPDIR: no such folder", "submit", "--wait")]
    [InlineData("PHI3V_HOME", "PHI3V_HOME: cannot be made or written to", "up")]
    public async Task A_folder_of_the_environment_that_cannot_be_used_is_named(string variable, string message, params string[] arguments)
    {
        _cli.Set(variable, "/proc/nowhere");
        string[] words = arguments is ["submit", ..] ? ["submit", WriteGoodSpec(), "--wait"] : [.. arguments, .. FreePorts.Take().Options];

        var result = await _cli.RunAsync(words);

        Assert.Equal(2, result.ExitCode);
        Assert.Contains($"phi3v: {message}", result.Stderr);
    }

    [Fact]
    public async Task Nobody_at_the_cluster_s_address_exits_3_at_once()
    {
        var result = await _cli.RunAsync("runs", "--cluster", "127.0.0.1:1", "--json");

        Assert.Equal((3, ""), (result.ExitCode, result.Stdout));
        Assert.Contains("no cluster answers at 127.0.0.1:1", result.Stderr);
        Assert.True(result.Elapsed < NoClusterDeadline, $"took {result.Elapsed}");
    }

    [Fact]
    public async Task Somebody_who_is_no_cluster_exits_3_within_the_deadline()
    {
        using var mute = new TcpListener(IPAddress.Loopback, 0);
        mute.Start();
        _cli.Set("PHI3V_CLUSTER", $"127.0.0.1:{((IPEndPoint)mute.LocalEndpoint).Port}");

        var result = await _cli.RunAsync("nodes");

        Assert.Equal(3, result.ExitCode);
        Assert.True(result.Elapsed < NoClusterDeadline + TimeSpan.FromSeconds(2), $"took {result.Elapsed}"); // 2 s: for a machine that is busy
    }

    [Fact]
    public async Task Interrupting_a_command_that_waits_for_a_cluster_ends_it_with_130()
    {
        using var mute = new TcpListener(IPAddress.Loopback, 0);
        mute.Start();
        await using var command = _cli.Start("runs", "--cluster", $"127.0.0.1:{((IPEndPoint)mute.LocalEndpoint).Port}");
        using var connected = await mute.AcceptTcpClientAsync().WaitAsync(CliSandbox.Timeout);

        command.Signal(RunningProcess.Interrupt);
        var result = await command.EndAsync(CliSandbox.Timeout);

        Assert.Equal((130, "phi3v: interrupted.\n"), (result.ExitCode, result.Stderr));
    }

    private string WriteGoodSpec()
    {
        _cli.Write("model/config.json", "{}");
        _cli.Write("model/model.safetensors", "");
        _cli.Write("train.jsonl", "");
        return _cli.Write("good.yaml", "model: { path: model }\ndata: { train: 'train*.jsonl' }\n");
    }
}
