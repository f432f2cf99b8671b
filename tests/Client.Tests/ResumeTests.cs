using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Hub;
using Phi3VCluster.Client.Tests.Server;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Client.Tests;

public sealed class ResumeTests : IAsyncLifetime
{
    private const string Name = "model.safetensors";

    private readonly DownloadSandbox _sandbox = new();
    private readonly FakeFile _file;

    public ResumeTests() => _file = _sandbox.Hub.Add(Name, Some.Bytes(1000), large: true);

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _sandbox.DisposeAsync();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_dropped_connection_goes_on_where_it_broke(bool hasStorage)
    {
        _sandbox.Hub.HasStorage = hasStorage;
        _sandbox.Hub.Next(Name, Faults.DropAfter(300), Faults.DropAfter(200));

        await ArrivesAsync(FileState.Downloaded);

        Assert.Equal([null, "bytes=300-", "bytes=500-"], Ranges());
        Assert.Equal([null, Faults.Tag(_file), Faults.Tag(_file)], _sandbox.Hub.RequestsFor(Name).Select(r => r.Header("If-Range")));
    }

    [Fact]
    public async Task As_long_as_more_comes_each_time_there_is_no_limit_of_tries()
    {
        _sandbox.Hub.Next(Name, [.. Enumerable.Repeat(Faults.DropAfter(20), 3 * Retries.MostTries)]);

        await ArrivesAsync(FileState.Downloaded);

        Assert.Equal(3 * Retries.MostTries + 1, Ranges().Count);
        Assert.All(_sandbox.WaitSeconds, wait => Assert.Equal(1, wait)); // each is a first failure
    }

    [Fact]
    public async Task What_an_earlier_command_left_is_gone_on_with()
    {
        Leave(_file.Bytes[..400]);

        await ArrivesAsync(FileState.Resumed);

        Assert.Equal(["bytes=400-"], Ranges());
    }

    [Fact]
    public async Task A_partial_file_that_is_whole_needs_no_request()
    {
        Leave(_file.Bytes);

        await ArrivesAsync(FileState.Resumed);

        Assert.Empty(Ranges());
    }

    [Fact]
    public async Task A_partial_file_of_other_bytes_is_thrown_away()
    {
        Leave(Some.Bytes(400, seed: 2));

        await ArrivesAsync(FileState.Downloaded);

        Assert.Equal(["bytes=400-", null], Ranges());
    }

    [Fact]
    public async Task A_partial_file_that_is_too_long_is_thrown_away()
    {
        Leave(Some.Bytes(1001));

        await ArrivesAsync(FileState.Downloaded);

        Assert.Equal([null], Ranges());
    }

    [Fact]
    public async Task A_server_without_ranges_begins_anew()
    {
        Leave(_file.Bytes[..400]);
        _sandbox.Hub.Next(Name, Faults.WithoutRanges);

        await ArrivesAsync(FileState.Downloaded);

        Assert.Equal(["bytes=400-"], Ranges());
    }

    [Fact]
    public async Task A_server_without_ranges_that_never_gets_further_is_given_up()
    {
        _sandbox.Hub.Next(Name, [.. Enumerable.Repeat(Faults.WithoutRangesDropAfter(600), 50)]);

        var error = await Assert.ThrowsAsync<CommandFailedException>(() => _sandbox.DownloadAsync());

        Assert.StartsWith($"{Name}: the connection failed", error.Message);
        Assert.Contains("8 times in a row", error.Message);
        Assert.Equal(Retries.MostTries, Ranges().Count);
        Assert.Equal([$"{Name}.partial"], _sandbox.FilesHere());
    }

    [Fact]
    public async Task A_range_that_the_server_refuses_begins_anew()
    {
        Leave(_file.Bytes[..400]);
        _sandbox.Hub.Next(Name, Faults.Status(416, ("Content-Range", "bytes */300")));

        await ArrivesAsync(FileState.Downloaded);

        Assert.Equal(["bytes=400-", null], Ranges());
    }

    [Theory]
    [InlineData("bytes 0-599/1000")]
    [InlineData("bytes 400-999/2000")]
    [InlineData("nonsense")]
    public async Task A_range_that_was_not_asked_for_is_not_written(string range)
    {
        Leave(_file.Bytes[..400]);
        _sandbox.Hub.Next(Name, Faults.RangeSaying(range));

        await ArrivesAsync(FileState.Downloaded);

        Assert.Equal(["bytes=400-", null], Ranges());
    }

    [Fact]
    public async Task Bytes_that_changed_meanwhile_come_whole()
    {
        _sandbox.Hub.Next(Name, async (exchange, file, end) =>
            await exchange.SendAsync(200, file!.Bytes.Length, [("ETag", "\"of other bytes\"")], Some.Bytes(300, seed: 2)));

        await ArrivesAsync(FileState.Downloaded);

        Assert.Equal("\"of other bytes\"", _sandbox.Hub.RequestsFor(Name)[1].Header("If-Range"));
        Assert.Equal(2, Ranges().Count);
    }

    [Fact]
    public async Task An_interrupted_download_leaves_what_it_has_for_the_next_one()
    {
        using var interrupt = new CancellationTokenSource();
        _sandbox.Hub.Next(Name, Faults.SilentAfter(500));
        var download = _sandbox.DownloadAsync(cancelled: interrupt.Token);
        await Eventually.Holds(() => PartialFile.LengthFor(_sandbox.At(Name)) == 500, CliSandbox.Timeout, "half of it is here");

        await interrupt.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => download);
        Assert.Equal([$"{Name}.partial"], _sandbox.FilesHere());
        await ArrivesAsync(FileState.Resumed);
        Assert.Equal([null, "bytes=500-"], Ranges());
    }

    [Fact]
    public async Task Two_commands_at_once_fetch_a_file_once()
    {
        _sandbox.Hub.Next(Name, async (exchange, file, end) =>
        {
            await exchange.SendAsync(200, 1000, [], file!.Bytes.AsMemory(0, 500));
            while (!_sandbox.Said.Any(line => line.Contains("another command", StringComparison.Ordinal))) await Task.Delay(5, end);
            await exchange.ContinueAsync(file.Bytes.AsMemory(500));
        });

        var both = await Task.WhenAll(_sandbox.DownloadAsync(), _sandbox.DownloadAsync());

        Assert.Equal([FileState.Downloaded, FileState.Present], both.Select(r => Assert.Single(r).State).Order());
        Assert.Equal([null], Ranges());
        Assert.Equal([Name], _sandbox.FilesHere());
        Assert.Equal(_file.Bytes, _sandbox.Read(Name));
    }

    [Fact]
    public async Task Many_commands_at_once_leave_one_right_file()
    {
        var all = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => Task.Run(() => _sandbox.DownloadAsync())));

        Assert.Equal(12, all.Count(r => Assert.Single(r).Error is null));
        Assert.Equal([Name], _sandbox.FilesHere());
        Assert.Equal(_file.Bytes, _sandbox.Read(Name));
    }

    [Fact]
    public async Task A_file_that_another_command_is_putting_in_its_place_is_waited_for()
    {
        File.WriteAllBytes(_sandbox.At(Name), _file.Bytes);
        var other = new FileStream(_sandbox.At(Name), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        _sandbox.Timing = _sandbox.Timing with
        {
            Delay = (_, _) =>
            {
                other.Dispose();
                return Task.CompletedTask;
            },
        };

        await ArrivesAsync(FileState.Present);

        Assert.Empty(Ranges());
    }

    [Theory]
    [InlineData("stays", true)]
    [InlineData("moved", false)]
    [InlineData("deleted", false)]
    [InlineData("replaced", false)]
    public void The_lock_of_a_file_that_has_left_its_place_is_none(string what, bool stays)
    {
        var path = _sandbox.At($"{Name}.partial");
        using var stream = new FileStream(path, FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        if (what is "moved" or "replaced") File.Move(path, _sandbox.At(Name));
        if (what is "deleted") File.Delete(path);
        if (what is "replaced") File.WriteAllBytes(path, []);

        Assert.Equal(stays, PartialFile.IsStillAt(path, stream));
    }

    [Fact]
    public async Task A_link_in_the_partial_files_place_is_not_followed()
    {
        File.WriteAllText(_sandbox.At("precious.txt"), "kept");
        File.CreateSymbolicLink(_sandbox.At($"{Name}.partial"), _sandbox.At("precious.txt"));

        var error = await Assert.ThrowsAsync<CommandFailedException>(() => _sandbox.DownloadAsync());

        Assert.Contains("is a link; remove it", error.Message);
        Assert.Equal("kept", File.ReadAllText(_sandbox.At("precious.txt")));
    }

    private void Leave(byte[] bytes) => File.WriteAllBytes(_sandbox.At($"{Name}.partial"), bytes);

    private IReadOnlyList<string?> Ranges() => [.. _sandbox.Hub.RequestsFor(Name).Select(r => r.Header("Range"))];

    private async Task ArrivesAsync(FileState state)
    {
        var result = Assert.Single(await _sandbox.DownloadAsync());
        Assert.Equal((state, null), (result.State, result.Error));
        Assert.Equal([Name], _sandbox.FilesHere());
        Assert.Equal(_file.Bytes, _sandbox.Read(Name));
    }
}
