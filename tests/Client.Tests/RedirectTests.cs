using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Hub;
using Phi3VCluster.Client.Tests.Server;

namespace Phi3VCluster.Client.Tests;

public sealed class RedirectTests : IAsyncLifetime
{
    private const string Name = "model.safetensors", Twin = "twin.safetensors";

    private readonly DownloadSandbox _sandbox = new() { Token = "hf_secret" };

    public RedirectTests()
    {
        _sandbox.Hub.Add(Name, Some.Bytes(1000), large: true);
        _sandbox.Hub.HasStorage = true;
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _sandbox.DisposeAsync();

    [Fact]
    public async Task The_token_goes_to_the_hub_and_to_nobody_else()
    {
        _sandbox.Hub.Add("config.json", "{}"u8.ToArray());
        _sandbox.Hub.Next(Name, Faults.DropAfter(300));

        Assert.All(await _sandbox.DownloadAsync(), r => Assert.Null(r.Error));

        Assert.Equal(5, _sandbox.Hub.Requests.Count);
        Assert.All(_sandbox.Hub.Requests, r => Assert.Equal("Bearer hf_secret", r.Header("Authorization")));
        Assert.Equal([null, "bytes=300-"], _sandbox.Hub.StorageRequests.Select(r => r.Header("Range")));
        Assert.All(_sandbox.Hub.StorageRequests, r => Assert.DoesNotContain("hf_secret", string.Join(' ', r.Headers.Values) + r.Target));
    }

    [Fact]
    public async Task Without_a_token_none_is_sent()
    {
        _sandbox.Token = null;

        Assert.All(await _sandbox.DownloadAsync(), r => Assert.Null(r.Error));

        Assert.All(_sandbox.Hub.Requests, r => Assert.Null(r.Header("Authorization")));
    }

    [Fact]
    public async Task A_host_that_sends_back_to_the_hub_does_not_get_it_asked_with_the_token()
    {
        _sandbox.Hub.Add(Twin, Some.Bytes(1000));
        _sandbox.Hub.Next(Name, Redirect($"{_sandbox.Hub.Address}tiny/phi/resolve/{FakeHub.Commit}/{Twin}?back"));

        Assert.All(await _sandbox.DownloadAsync(), r => Assert.Null(r.Error));

        var back = Assert.Single(_sandbox.Hub.Requests, r => r.Target.EndsWith("?back", StringComparison.Ordinal));
        Assert.Null(back.Header("Authorization"));
    }

    [Fact]
    public async Task A_redirect_within_the_hub_keeps_the_token()
    {
        _sandbox.Hub.HasStorage = false;
        _sandbox.Hub.Add(Twin, Some.Bytes(1000));
        _sandbox.Hub.Next(Name, Redirect($"/tiny/phi/resolve/{FakeHub.Commit}/{Twin}?cache"));
        _sandbox.Hub.Next("revision", Redirect($"/api/models/tiny/phi/revision/renamed"));

        Assert.All(await _sandbox.DownloadAsync(), r => Assert.Null(r.Error));

        Assert.All(_sandbox.Hub.Requests, r => Assert.Equal("Bearer hf_secret", r.Header("Authorization")));
        Assert.Single(_sandbox.Hub.Requests, r => r.Target.EndsWith("?cache", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_circle_of_redirects_ends()
    {
        _sandbox.Hub.Next("revision", [.. Enumerable.Repeat(Redirect("/api/models/tiny/phi/revision/main"), 50)]);

        var error = await Assert.ThrowsAsync<CommandFailedException>(() => _sandbox.DownloadAsync());

        Assert.Contains("redirects more than 10 times", error.Message);
    }

    [Theory]
    [InlineData("https://hub.example/a", "https://hub.example/b", true)]
    [InlineData("https://hub.example/a", "https://hub.example:443/b", true)]
    [InlineData("https://hub.example/a", "https://HUB.example/b", true)]
    [InlineData("https://hub.example/a", "http://hub.example/b", false)]
    [InlineData("https://hub.example/a", "https://hub.example:8443/b", false)]
    [InlineData("https://hub.example/a", "https://hub.example.evil/b", false)]
    [InlineData("https://hub.example/a", "https://hub.example@evil/b", false)]
    [InlineData("https://hub.example/a", "https://cdn.hub.example/b", false)]
    public void Only_the_same_scheme_host_and_port_is_the_hub(string hub, string other, bool own) =>
        Assert.Equal(own, new HubEndpoint(new(hub), token: null).IsOwn(new(other)));

    [Theory]
    [InlineData("https://a/x", "http://b/y", "https to http")]
    [InlineData("https://a/x", "file:///etc/passwd", "redirects to nowhere")]
    [InlineData("https://a/x", null, "redirects to nowhere")]
    public void Some_redirects_are_not_followed(string from, string? to, string message) =>
        Assert.Contains(message, Assert.Throws<CommandFailedException>(() => HubHttp.Next(new(from), to is null ? null : new(to))).Message);

    private static Fault Redirect(string to) => Faults.Status(307, ("Location", to));
}
