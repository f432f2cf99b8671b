using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Hub;
using Phi3VCluster.Client.Tests.Server;

namespace Phi3VCluster.Client.Tests;

public sealed class RetryTests : IAsyncLifetime
{
    private const string Name = "model.safetensors";

    private static readonly DateTimeOffset Noon = new(2024, 5, 6, 12, 0, 0, TimeSpan.Zero);

    private readonly DownloadSandbox _sandbox = new();
    private readonly FakeFile _file;

    public RetryTests()
    {
        _file = _sandbox.Hub.Add(Name, Some.Bytes(1000), large: true);
        _sandbox.Timing = _sandbox.Timing with { Chance = () => 0, Clock = new StoppedClock(Noon) };
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _sandbox.DisposeAsync();

    public static TheoryData<string, string, double> Waits => new()
    {
        { "Retry-After", "7", 7 },
        { "Retry-After", "0", 0 },
        { "Retry-After", Noon.AddSeconds(42).ToString("R", CultureInfo.InvariantCulture), 42 },
        { "Retry-After", Noon.AddSeconds(-42).ToString("R", CultureInfo.InvariantCulture), 0 },
        { "Retry-After", "86400", 300 },
        { "RateLimit", "\"resolvers\";r=0;t=55", 55 },
        { "X-Nothing", "1", 0.5 },
    };

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_server_that_asks_to_wait_is_waited_for_within_reason(string header, string value, double seconds)
    {
        _sandbox.Hub.Next(Name, Faults.Status(429, (header, value)));

        await ArrivesAsync();

        Assert.Equal([seconds], _sandbox.WaitSeconds);
        Assert.Contains("the server answers 429", Assert.Single(_sandbox.Said));
    }

    [Fact]
    public async Task Those_who_were_refused_together_do_not_come_back_together()
    {
        _sandbox.Timing = _sandbox.Timing with { Chance = () => 0.25 };
        _sandbox.Hub.Next(Name, Faults.Status(429, ("Retry-After", "7")), Faults.Status(503));

        await ArrivesAsync();

        Assert.Equal([7.25, 2 * (0.5 + 0.5 * 0.25)], _sandbox.WaitSeconds);
    }

    [Fact]
    public async Task Waits_grow_and_end()
    {
        _sandbox.Hub.Next(Name, [.. Enumerable.Repeat(Faults.Status(503), 50)]);

        var error = await Assert.ThrowsAsync<CommandFailedException>(() => _sandbox.DownloadAsync());

        Assert.Equal([0.5, 1, 2, 4, 8, 15, 15], _sandbox.WaitSeconds);
        Assert.Equal($"{Name}: the server answers 503, 8 times in a row; what has arrived is kept, so try again later.", error.Message);
    }

    [Theory]
    [InlineData("revision")]
    [InlineData("tree")]
    [InlineData(Name)]
    public async Task Whatever_is_asked_is_asked_again_after_a_broken_connection_or_a_busy_server(string what)
    {
        _sandbox.Hub.Next(what, Faults.ResetAtOnce, Faults.Status(500), Faults.Status(504));

        await ArrivesAsync();

        Assert.Equal(3, _sandbox.WaitSeconds.Count);
    }

    [Theory]
    [InlineData("revision")]
    [InlineData("tree")]
    public async Task An_answer_that_breaks_off_is_asked_for_again(string what)
    {
        _sandbox.Hub.Next(what, (exchange, _, _) => exchange.SendAsync(200, 100, [], "[{"u8.ToArray()));

        await ArrivesAsync();
    }

    [Fact]
    public async Task A_connection_on_which_nothing_comes_is_given_up()
    {
        _sandbox.Timing = _sandbox.Timing with { Silence = TimeSpan.FromMilliseconds(300) };
        _sandbox.Hub.Next(Name, Faults.SilentAfter(100), Faults.SilentAfter(0));

        await ArrivesAsync();

        Assert.Equal([null, "bytes=100-", "bytes=100-"], _sandbox.Hub.RequestsFor(Name).Select(r => r.Header("Range")));
        Assert.All(_sandbox.Said, line => Assert.Contains("nothing came for 0.3 s", line));
    }

    [Fact]
    public async Task A_storage_host_whose_signed_address_ran_out_is_asked_by_a_new_one()
    {
        _sandbox.Hub.HasStorage = true;
        _sandbox.Hub.Next(Name, Faults.Status(403));

        await ArrivesAsync();

        Assert.Equal(2, _sandbox.Hub.Requests.Count(r => r.Target.EndsWith(Name, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_hub_that_is_not_there_is_given_up_with_its_reason()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        var port = ((IPEndPoint)free.LocalEndpoint).Port;
        free.Stop();
        using var http = new HubHttp(new(new($"http://127.0.0.1:{port}"), token: null), _sandbox.Timing);

        var error = await Assert.ThrowsAsync<CommandFailedException>(
            () => new HubDownload(http, _sandbox.Timing, new(_ => { })).PlanAsync(_sandbox.Repo, [], default));

        Assert.StartsWith("asking about tiny/phi: the connection failed (Connection refused", error.Message);
        Assert.Equal(Retries.MostTries - 1, _sandbox.WaitSeconds.Count);
    }

    private async Task ArrivesAsync()
    {
        Assert.Null(Assert.Single(await _sandbox.DownloadAsync()).Error);
        Assert.Equal(_file.Bytes, _sandbox.Read(Name));
    }

    private sealed class StoppedClock(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;
    }
}
