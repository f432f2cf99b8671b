using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.Cli;

public sealed class InputTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public static TheoryData<string> Verbs =>
    [
        "quickstart", "up", "down", "nodes", "submit", "runs", "status", "watch", "logs", "cancel", "forget", "validate",
        "generate", "eval",
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
    [InlineData("<SPEC>", "--help")]
    [InlineData("<SPEC>", "submit", "--help")]
    [InlineData("<RUN>", "status", "--help")]
    [InlineData("<SHELL>", "completion", "--help")]
    public async Task Help_names_arguments_and_not_all_that_they_may_be_completed_to(string name, params string[] arguments)
    {
        _cli.Write("mine.yaml", "");
        var help = await _cli.RunAsync(arguments);

        Assert.Contains($" {name} ", help.Stdout);
        foreach (var value in (string[])["<last", "mine.yaml", "speed-a100", "<bash"]) Assert.DoesNotContain(value, help.Stdout);
    }

    [Theory]
    [InlineData("there is no verb 'sumbit'; did you mean submit? See `phi3v --help`.", "sumbit", "run.yaml")]
    [InlineData("there is no option '--jsn'; did you mean --json? See `phi3v runs --help`.", "runs", "--jsn")]
    [InlineData(
        "'b=2' is one word too many; write --set before each. See `phi3v submit --help`.", "submit", "a.yaml", "--set", "a=1", "b=2")]
    [InlineData("'extra' is one word too many. See `phi3v runs --help`.", "runs", "extra")]
    [InlineData("Required argument missing for command: 'status'. See `phi3v status --help`.", "status")]
    [InlineData("--ranks: must be a whole number, got two. See `phi3v up --help`.", "up", "--ranks", "two")]
    [InlineData("--ranks: must be a whole number, and not so large a one, got 99999999999. See `phi3v up --help`.",
        "up", "--ranks", "99999999999")]
    [InlineData("--cluster: must be host:port, got nowhere; write for example 127.0.0.1:30000.", "runs", "--cluster", "nowhere")]
    [InlineData("--cluster: must be host:port, got a:99999; write for example 127.0.0.1:30000.", "runs", "--cluster", "a:99999")]
    public async Task A_wrong_command_line_gives_one_message_and_exit_code_2(string message, params string[] arguments)
    {
        var result = await _cli.RunAsync(arguments);

        Assert.Equal((2, "", $"phi3v: {message}\n"), (result.ExitCode, result.Stdout, result.Stderr));
    }

    [Fact]
    public async Task What_all_silos_of_an_up_lack_is_said_once()
    {
        var result = await _cli.RunAsync("up", "--silos", "40", "--gateway-port", "65536", "--silo-port", "65600", "--http-port", "65700");

        Assert.Equal((2, "phi3v: --gateway-port: must be 1 to 65535, got 65536; choose another.\n"
            + "phi3v: --silo-port: must be 1 to 65535, got 65600; choose another.\n"
            + "phi3v: --http-port: must be 1 to 65535, got 65700; choose another.\n"), (result.ExitCode, result.Stderr));
    }

    [Fact]
    public async Task With_json_a_wrong_command_line_is_a_document_too()
    {
        var error = (await _cli.JsonAsync(2, "runs", "--jsn")).GetProperty("error");

        Assert.StartsWith("there is no option '--jsn'", Assert.Single(error.GetProperty("problems").EnumerateArray()).GetString());
    }

    [Fact]
    public async Task A_run_whose_cluster_is_gone_is_known_by_its_folder()
    {
        var folder = Path.GetDirectoryName(_cli.Write("out put/r-1/run.yaml", "name: r\nepochs: 5\n"))!;
        _cli.Write("out put/r-1/steps.jsonl", """{"step":1,"epoch":0,"generation":1,"world_size":2,"loss":2.5,"seconds":1}""" + "\n"
            + """{"step":2,"epoch":1,"generation":1,"world_size":2,"loss":1.5,"seconds":1}""" + "\n" + """{"step":3,"ep""");

        var status = await _cli.JsonAsync(0, "status", folder);
        var words = await _cli.RunAsync("status", folder, "--cluster", "127.0.0.1:1");

        Assert.Equal(("r-1", "running", 2, 1, 1.5), (status.GetProperty("run").GetString(), status.GetProperty("state").GetString(),
            status.GetProperty("step").GetInt32(), status.GetProperty("epoch").GetInt32(), status.GetProperty("loss").GetDouble()));
        Assert.Equal("its cluster, which does not answer", status.GetProperty("waiting_for").GetString());
        Assert.Equal(0, words.ExitCode);
        Assert.Contains($"from its folder, {folder}", words.Stderr);
        Assert.Contains("1 of 5", words.Stdout);
        var logs = await _cli.RunAsync("logs", folder);
        Assert.Equal((1, "phi3v: r-1 left no log in its folder; its cluster has it."), (logs.ExitCode, logs.Stderr.Trim().Split('\n')[^1]));
        Assert.Equal(3, (await _cli.RunAsync("status", "nothing")).ExitCode);
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

        Assert.Equal(2, result.ExitCode);
        Assert.Equal(
            ["modle", "epochs", "seed", "model.path", "batch.global", "data.train"],
            result.Stderr.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l["phi3v: ".Length..].Split(':')[0]));
        if (option == "--json")
        {
            var error = JsonDocument.Parse(result.Stdout).RootElement.GetProperty("error");
            Assert.Equal((2, 6), (error.GetProperty("exit_code").GetInt32(), error.GetProperty("problems").GetArrayLength()));
            Assert.StartsWith("modle", error.GetProperty("message").GetString());
        }
        else Assert.Empty(result.Stdout);
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

        Assert.Equal(3, result.ExitCode);
        Assert.Equal(3, JsonDocument.Parse(result.Stdout).RootElement.GetProperty("error").GetProperty("exit_code").GetInt32());
        Assert.Contains("no cluster answers at 127.0.0.1:1 (Connection refused)", result.Stderr);
    }

    [Fact]
    public async Task Somebody_who_is_no_cluster_exits_3_within_the_deadline()
    {
        using var mute = new TcpListener(IPAddress.Loopback, 0);
        mute.Start();
        _cli.Set("PHI3V_CLUSTER", $"127.0.0.1:{((IPEndPoint)mute.LocalEndpoint).Port}");

        var result = await _cli.RunAsync("nodes");

        Assert.Equal(3, result.ExitCode);
        Assert.Contains(" (no answer in 7 s); ", result.Stderr);
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
