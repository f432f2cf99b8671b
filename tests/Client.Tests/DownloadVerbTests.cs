using System.Text.Json;
using Phi3VCluster.Client.Tests.Server;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Client.Tests;

/// <summary>The built CLI against a hub on this machine.</summary>
public sealed class DownloadVerbTests : IAsyncLifetime
{
    private const string Name = "model.safetensors";

    private readonly CliSandbox _cli = new();
    private readonly FakeHub _hub = new();
    private readonly FakeFile _weights;

    public DownloadVerbTests()
    {
        _hub.Add("config.json", "{}"u8.ToArray());
        _weights = _hub.Add(Name, Some.Bytes(200_000), large: true);
        _hub.HasStorage = true;
        _cli.Set("HF_ENDPOINT", _hub.Address.AbsoluteUri);
        _cli.Set("HF_TOKEN", "");
        _cli.Set("HF_HOME", _cli.At("hf"));
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        _cli.Dispose();
        await _hub.DisposeAsync();
    }

    [Fact]
    public async Task A_model_arrives_through_a_busy_hub_and_broken_connections_and_the_document_says_what_came()
    {
        _cli.Set("HF_TOKEN", "hf_secret");
        _hub.Add("pytorch_model.bin", Some.Bytes(10));
        _hub.Next("revision", Faults.Status(429, ("Retry-After", "0")));
        _hub.Next(Name, Faults.DropAfter(50_000), Faults.ResetAtOnce);

        var result = await _cli.JsonAsync(0, "download", "model", "tiny/phi", "--to", "models/phi");

        Assert.Equal(("tiny/phi", "model", FakeHub.Commit, _cli.At("models/phi")),
            (Text(result, "repo"), Text(result, "kind"), Text(result, "revision"), Text(result, "folder")));
        Assert.Equal((200_002, 200_002), (result.GetProperty("bytes").GetInt64(), result.GetProperty("received_bytes").GetInt64()));
        Assert.True(result.GetProperty("seconds").GetDouble() > 0);
        JsonElement[] files = [.. result.GetProperty("files").EnumerateArray()];
        Assert.Equal([("config.json", 2, "downloaded"), (Name, 200_000, "downloaded")],
            files.Select(f => (Text(f, "path")!, f.GetProperty("bytes").GetInt32(), Text(f, "state")!)));
        const string gitHashOfEmptyObject = "9e26dfeeb6e641a33dae4961196235bdb965b21b"; // printf '{}' | git hash-object --stdin
        Assert.Equal((null, gitHashOfEmptyObject), (Text(files[0], "sha256"), Text(files[0], "git_oid")));
        Assert.Equal((_weights.Hash, null), (Text(files[1], "sha256"), Text(files[1], "git_oid")));
        var skipped = Assert.Single(result.GetProperty("skipped").EnumerateArray());
        Assert.Equal(("pytorch_model.bin", "a pickle: reading it can run code"), (Text(skipped, "path"), Text(skipped, "reason")));
        Assert.Equal(_weights.Bytes, File.ReadAllBytes(_cli.At($"models/phi/{Name}")));
        Assert.Equal(2, Directory.GetFiles(_cli.At("models/phi")).Length);
        Assert.All(_hub.Requests, r => Assert.Equal("Bearer hf_secret", r.Header("Authorization")));
        Assert.All(_hub.StorageRequests, r => Assert.Null(r.Header("Authorization")));
    }

    [Fact]
    public async Task For_a_person_each_file_is_a_line_and_a_second_time_all_is_here()
    {
        _hub.Add("modeling.py", [1]);
        var first = await _cli.RunAsync("download", "model", "tiny/phi");
        var second = await _cli.RunAsync("download", "model", "tiny/phi");

        Assert.Equal((0, ""), (first.ExitCode, first.Stderr));
        Assert.StartsWith($"tiny/phi at 0123456789ab: 2 files, 200 kB → {_cli.At("phi")}\n", first.Stdout);
        Assert.Contains("\nleft out 1 file (modeling.py): code\n", first.Stdout);
        Assert.Contains($"\n{Name}  200 kB  downloaded\n", first.Stdout);
        Assert.Contains("\n2 files downloaded; 200 kB in 0:0", first.Stdout);
        Assert.Contains($"\n{Name}  200 kB  already here\n", second.Stdout);
        Assert.Contains("\n2 files present; 0 B in 0:0", second.Stdout);
    }

    [Fact]
    public async Task An_interrupted_command_says_how_to_go_on_and_the_next_one_does()
    {
        _hub.Next(Name, Faults.SilentAfter(80_000));
        await using var command = _cli.Start("download", "model", "tiny/phi");
        await ArrivesAsync(80_000);

        command.Signal(RunningProcess.Interrupt);
        var interrupted = await command.EndAsync(CliSandbox.Timeout);

        Assert.Equal((130, "phi3v: interrupted.\n"), (interrupted.ExitCode, interrupted.Stderr));
        Assert.EndsWith("what has arrived is kept; the same command goes on from there\n", interrupted.Stdout);
        var result = await _cli.JsonAsync(0, "download", "model", "tiny/phi");
        Assert.Equal(["present", "resumed"], result.GetProperty("files").EnumerateArray().Select(f => Text(f, "state")));
        Assert.Equal(120_000, result.GetProperty("received_bytes").GetInt32());
        Assert.Equal(_weights.Bytes, File.ReadAllBytes(_cli.At($"phi/{Name}")));
    }

    [Fact]
    public async Task A_killed_command_leaves_what_it_has_and_no_lock()
    {
        _hub.Next(Name, Faults.SilentAfter(80_000));
        await using var command = _cli.Start("download", "model", "tiny/phi");
        await ArrivesAsync(80_000);

        command.Signal(RunningProcess.Kill);
        await command.EndAsync(CliSandbox.Timeout);

        var result = await _cli.JsonAsync(0, "download", "model", "tiny/phi");
        Assert.Equal(120_000, result.GetProperty("received_bytes").GetInt32());
    }

    [Fact]
    public async Task Two_processes_at_once_fetch_a_file_once()
    {
        var meanwhile = new TaskCompletionSource();
        _hub.Next(Name, async (exchange, file, end) =>
        {
            await exchange.SendAsync(200, file!.Bytes.Length, [], file.Bytes.AsMemory(0, 1000));
            await meanwhile.Task.WaitAsync(end);
            await exchange.ContinueAsync(file.Bytes.AsMemory(1000));
        });
        await using var first = _cli.Start("download", "model", "tiny/phi");
        await ArrivesAsync(1000);
        await using var second = _cli.Start("download", "model", "tiny/phi");
        await Eventually.Holds(() => second.Stdout.Contains("another command is fetching it", StringComparison.Ordinal),
            CliSandbox.Timeout, "the second waits");

        meanwhile.SetResult();

        var (one, other) = (await first.EndAsync(CliSandbox.Timeout), await second.EndAsync(CliSandbox.Timeout));
        Assert.Equal((0, 0), (one.ExitCode, other.ExitCode));
        Assert.Contains($"{Name}  200 kB  downloaded", one.Stdout);
        Assert.Contains($"{Name}  200 kB  already here", other.Stdout);
        Assert.Single(_hub.StorageRequests);
        Assert.Equal(_weights.Bytes, File.ReadAllBytes(_cli.At($"phi/{Name}")));
    }

    [Fact]
    public async Task A_file_that_is_not_what_it_should_be_ends_with_1_and_the_document()
    {
        _hub.Next(Name, Faults.Body(Some.Bytes(200_000, seed: 2)), Faults.Body(Some.Bytes(200_000, seed: 3)));

        var result = await _cli.RunAsync("download", "model", "tiny/phi", "--json");

        Assert.Equal(1, result.ExitCode);
        var files = JsonDocument.Parse(result.Stdout).RootElement.GetProperty("files").EnumerateArray().ToArray();
        Assert.Equal(["downloaded", "failed"], files.Select(f => Text(f, "state")));
        Assert.Contains($"phi3v: {Name}: its SHA-256 is ", result.Stderr);
        Assert.Contains($" and should be {_weights.Hash}, 2 times.\n", result.Stderr);
        Assert.Equal([_cli.At("phi/config.json")], Directory.GetFiles(_cli.At("phi")));
    }

    [Fact]
    public async Task A_dataset_is_asked_for_as_one_and_only_what_is_included_comes()
    {
        await using var hub = new FakeHub("datasets/tiny/phi");
        hub.Add("data/train-0.parquet", Some.Bytes(100), large: true);
        hub.Add("data/test-0.parquet", Some.Bytes(100), large: true);
        _cli.Set("HF_ENDPOINT", hub.Address.AbsoluteUri);

        var result = await _cli.JsonAsync(
            0, "download", "dataset", "tiny/phi", "--include", "data/train-*", "--include", "*.csv", "--parallel", "1");

        Assert.Equal("data/train-0.parquet", Text(Assert.Single(result.GetProperty("files").EnumerateArray()), "path"));
        Assert.Equal([_cli.At("phi/data/train-0.parquet")], Directory.GetFiles(_cli.At("phi"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task A_model_of_pickles_is_refused_with_2_and_no_folder()
    {
        await using var hub = new FakeHub();
        hub.Add("config.json", "{}"u8.ToArray());
        hub.Add("pytorch_model.bin", Some.Bytes(10), large: true);
        _cli.Set("HF_ENDPOINT", hub.Address.AbsoluteUri);

        var result = await _cli.RunAsync("download", "model", "tiny/phi", "--json");

        Assert.Equal(2, result.ExitCode);
        Assert.StartsWith("phi3v: tiny/phi: the model has its weights as pickles only, got 1 file (pytorch_model.bin); ", result.Stderr);
        Assert.False(Directory.Exists(_cli.At("phi")));
    }

    [Fact]
    public async Task The_token_that_was_left_on_this_machine_is_used()
    {
        _cli.Write("hf/token", "hf_stored\n");

        await _cli.JsonAsync(0, "download", "model", "tiny/phi");

        Assert.All(_hub.Requests, r => Assert.Equal("Bearer hf_stored", r.Header("Authorization")));
    }

    [Fact]
    public async Task Wrong_settings_are_all_said_and_the_token_is_not()
    {
        _cli.Set("HF_ENDPOINT", "hub.example");
        _cli.Set("HF_TOKEN", "hf_se cret");

        var result = await _cli.RunAsync("download", "model", "tiny/phi");

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("phi3v: HF_ENDPOINT: must be an http or https address, got hub.example; write for example ", result.Stderr);
        Assert.Contains("phi3v: HF_TOKEN: must be one word", result.Stderr);
        Assert.DoesNotContain("cret", result.Stderr);
    }

    [Theory]
    [InlineData("--to: ", "--to", "file/phi")]
    [InlineData("--parallel: must be 1 to 32, got 0; choose another.", "--parallel", "0")]
    [InlineData("--parallel: must be 1 to 32, got 33; choose another.", "--parallel", "33")]
    [InlineData("--parallel: must be a whole number, got many.", "--parallel", "many")]
    public async Task A_wrong_option_is_refused_before_anybody_is_asked(string message, params string[] options)
    {
        _cli.Write("file", "not a folder");

        var result = await _cli.RunAsync(["download", "model", "tiny/phi", .. options]);

        Assert.Equal(2, result.ExitCode);
        Assert.StartsWith($"phi3v: {message}", result.Stderr);
        Assert.Empty(_hub.Requests);
    }

    [Fact]
    public async Task A_folder_in_a_files_place_ends_with_1_and_keeps_what_came()
    {
        Directory.CreateDirectory(_cli.At($"phi/{Name}"));

        var result = await _cli.RunAsync("download", "model", "tiny/phi");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains($"{_cli.At("phi")}/{Name}", result.Stderr);
        Assert.Equal(_weights.Bytes, File.ReadAllBytes(_cli.At($"phi/{Name}.partial")));
    }

    private Task ArrivesAsync(int bytes) => Eventually.Holds(
        () => new FileInfo(_cli.At($"phi/{Name}.partial")) is { Exists: true } partial && partial.Length == bytes,
        CliSandbox.Timeout, "some of it is here");

    private static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();
}
