using Phi3VCluster.Client.Hub;
using Phi3VCluster.Client.Tests.Server;

namespace Phi3VCluster.Client.Tests;

/// <summary>Servers that send something else than they say.</summary>
public sealed class ContentTests : IAsyncLifetime
{
    private const string Name = "model.safetensors", Other = "config.json";

    private readonly DownloadSandbox _sandbox = new();

    public ContentTests() => _sandbox.Hub.Add(Other, "{}"u8.ToArray());

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _sandbox.DisposeAsync();

    [Theory]
    [InlineData(true, "its SHA-256 is ")]
    [InlineData(false, "its git hash is ")]
    public async Task A_wrong_hash_leaves_no_file_and_does_not_keep_the_others_from_coming(bool large, string message)
    {
        _sandbox.Hub.Add(Name, Some.Bytes(1000), large);
        _sandbox.Hub.Next(Name, [.. Enumerable.Repeat(Faults.Body(Some.Bytes(1000, seed: 2)), 9)]);

        await FailsAsync(message);

        Assert.Equal(2, _sandbox.Hub.RequestsFor(Name).Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_file_that_was_damaged_on_its_way_is_fetched_anew(bool large)
    {
        var file = _sandbox.Hub.Add(Name, Some.Bytes(1000), large);
        _sandbox.Hub.Next(Name, Faults.Body(Some.Bytes(1000, seed: 2)));

        Assert.All(await _sandbox.DownloadAsync(), r => Assert.Equal(FileState.Downloaded, r.State));

        Assert.Equal(file.Bytes, _sandbox.Read(Name));
        Assert.Contains("fetching it anew", Assert.Single(_sandbox.Said));
    }

    [Theory]
    [InlineData(999)]
    [InlineData(1001)]
    [InlineData(0)]
    public async Task A_wrong_length_is_seen_before_anything_is_written(int length)
    {
        _sandbox.Hub.Add(Name, Some.Bytes(1000), large: true);
        _sandbox.Hub.Next(Name, [.. Enumerable.Repeat(Faults.Body(Some.Bytes(length)), 9)]);

        await FailsAsync($"the server has {length} bytes and should have 1000");
    }

    [Fact]
    public async Task More_bytes_than_there_should_be_are_not_taken()
    {
        _sandbox.Hub.Add(Name, Some.Bytes(1000), large: true);
        _sandbox.Hub.Next(Name, [.. Enumerable.Repeat(Faults.BodyOfUnknownLength(Some.Bytes(500_000)), 9)]);

        await FailsAsync("the server sends more than its 1000 bytes");
    }

    [Fact]
    public async Task A_body_that_ends_early_without_saying_so_is_gone_on_with()
    {
        var file = _sandbox.Hub.Add(Name, Some.Bytes(1000), large: true);
        _sandbox.Hub.Next(Name, Faults.BodyOfUnknownLength(file.Bytes[..700]));

        Assert.All(await _sandbox.DownloadAsync(), r => Assert.Null(r.Error));

        Assert.Equal(file.Bytes, _sandbox.Read(Name));
        Assert.Equal([null, "bytes=700-"], _sandbox.Hub.RequestsFor(Name).Select(r => r.Header("Range")));
    }

    [Fact]
    public async Task A_list_that_is_wrong_about_a_size_fails_that_file()
    {
        _sandbox.Hub.Add(new FakeFile(Name, Some.Bytes(1000), Large: true) { Size = 1010 });

        await FailsAsync("the server has 1000 bytes and should have 1010");
    }

    [Fact]
    public async Task A_file_that_is_gone_fails_alone()
    {
        _sandbox.Hub.Add(Name, Some.Bytes(1000), large: true);
        _sandbox.Hub.Next(Name, Faults.Status(404, ("X-Error-Code", "EntryNotFound")));

        await FailsAsync("the hub does not have it any more, got 404");
    }

    private async Task FailsAsync(string message)
    {
        var results = (await _sandbox.DownloadAsync()).ToDictionary(r => r.File.Path);

        Assert.Equal(FileState.Failed, results[Name].State);
        Assert.StartsWith(message, results[Name].Error);
        Assert.Equal(FileState.Downloaded, results[Other].State);
        Assert.Equal([Other], _sandbox.FilesHere());
    }
}
