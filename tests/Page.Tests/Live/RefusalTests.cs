using System.Net.Sockets;
using System.Text;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Silo.Http;

namespace Phi3VCluster.Page.Tests.Live;

/// <summary>What a silo that is a process refuses, and that its log names who.</summary>
public sealed class RefusalTests : IDisposable
{
    private const string Operator = "0123456789abcdef-operator", Reader = "0123456789abcdef-reader";

    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task With_tokens_every_call_needs_one_and_a_readers_changes_nothing()
    {
        _cli.Set("PHI3V_HTTP_TOKEN_FILE", _cli.Write("token", Operator + "\n"));
        _cli.Set("PHI3V_HTTP_READ_TOKEN_FILE", _cli.Write("read-token", Reader));
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 2);
        using var silo = SiloHttp.Of(cluster);
        await cluster.SeeReadyAsync("n1", "n2");
        const string Nodes = "api/v1/nodes", Drain = "api/v1/nodes/n2/drain";

        var (status, body, response) = await silo.SendAsync(HttpMethod.Get, Nodes);
        Assert.Equal((401, "Bearer realm=\"phi3v\""), (status, response.Headers.WwwAuthenticate.ToString()));
        Assert.Contains("Authorization: Bearer TOKEN", body);
        Assert.Equal(401, await silo.StatusAsync(HttpMethod.Get, Nodes, Bearer("0123456789abcdef-wrong")));
        Assert.Equal(400, await silo.StatusAsync(HttpMethod.Get, $"{Nodes}?token={Operator}"));
        Assert.Equal(200, await silo.StatusAsync(HttpMethod.Get, Nodes, Bearer(Reader)));
        Assert.Equal(401, await silo.StatusAsync(HttpMethod.Post, Drain, (HttpAccess.OwnHeader, "1")));
        Assert.Equal(403, await silo.StatusAsync(HttpMethod.Post, Drain, Bearer(Reader)));
        await cluster.SeeReadyAsync("n1", "n2");
        Assert.Equal(200, await silo.StatusAsync(HttpMethod.Post, Drain, Bearer(Operator)));
        await cluster.SeeReadyAsync("n1");
        foreach (var open in (string[])["", "health", "metrics", "style.css"])
            Assert.Equal(200, await silo.StatusAsync(HttpMethod.Get, open));

        await Eventually.Holds(() => Count(cluster.Log("n1"), "Refused 127.0.0.1: ") == 5, CliSandbox.Timeout, "five refusals are logged");
        Assert.DoesNotContain("0123456789abcdef", cluster.Log("n1"));
        await cluster.DownAsync();
    }

    [Fact]
    public async Task Other_names_bodies_long_headers_and_slow_callers_get_nowhere()
    {
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 1);
        using var silo = SiloHttp.Of(cluster);

        foreach (var path in (string[])["", "api/v1/runs", "metrics"])
            Assert.Equal(421, await silo.StatusAsync(HttpMethod.Get, path, ("Host", "evil.example")));
        Assert.Equal(200, await silo.StatusAsync(HttpMethod.Get, "api/v1/runs", ("Host", $"localhost:{silo.Port}")));
        Assert.StartsWith("HTTP/1.1 413 ", await TalkAsync(silo.Port,
            $"POST /api/v1/nodes/n1/drain HTTP/1.1\r\nHost: localhost\r\nX-Phi3V: 1\r\nContent-Length: 1000000000\r\n\r\n"));
        Assert.StartsWith("HTTP/1.1 431 ", await TalkAsync(silo.Port,
            $"GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nX-Long: {new string('x', 100_000)}\r\n\r\n"));
        Assert.Equal(405, await silo.StatusAsync(HttpMethod.Post, "", (HttpAccess.OwnHeader, "1")));
        Assert.Equal(404, await silo.StatusAsync(HttpMethod.Get, "..%2F..%2Fappsettings.json"));

        // A caller that never ends its headers is hung up on.
        Assert.DoesNotContain("200 OK", await TalkAsync(silo.Port, "GET /api/v1/runs HTTP/1.1\r\nHost: local"));
        await cluster.DownAsync();
    }

    [Fact]
    public async Task Beyond_this_machine_without_a_token_nothing_is_changed()
    {
        var ports = FreePorts.Take();
        await using var process = _cli.StartOther(CliSandbox.SiloExecutable,
        [
            .. ports.Options, "--data", _cli.At("data"), "--ranks", "1", "--node", "n1", "--advertise", "127.0.0.1", "--until-stdin-closes",
        ]);
        using var silo = new SiloHttp(ports.Http);
        await Eventually.Holds(async () => await ReadyAsync(silo), CliSandbox.Timeout, () => $"the silo is ready: {process.Stderr}");

        Assert.Equal(200, await silo.StatusAsync(HttpMethod.Get, "api/v1/nodes"));
        Assert.Equal("reader", (await silo.GetAsync("api/v1/access")).GetProperty("role").GetString());
        var (status, body, _) = await silo.SendAsync(HttpMethod.Post, "api/v1/nodes/n1/drain", (HttpAccess.OwnHeader, "1"));
        Assert.Equal(403, status);
        Assert.Contains("--http-token-file", body);
    }

    private static async Task<bool> ReadyAsync(SiloHttp silo)
    {
        try
        {
            return await silo.StatusAsync(HttpMethod.Get, "health/ready") == 200;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    /// <summary>What the silo says before it hangs up, or has answered.</summary>
    private static async Task<string> TalkAsync(int port, string words)
    {
        using var client = new TcpClient();
        using var patience = new CancellationTokenSource(CliSandbox.Timeout);
        await client.ConnectAsync("127.0.0.1", port, patience.Token);
        var stream = client.GetStream();
        var answer = new byte[4096];
        try
        {
            await stream.WriteAsync(Encoding.ASCII.GetBytes(words), patience.Token);
            return Encoding.ASCII.GetString(answer, 0, await stream.ReadAsync(answer, patience.Token));
        }
        catch (IOException) // it hung up in the middle
        {
            return "";
        }
    }

    private static (string, string) Bearer(string token) => ("Authorization", $"Bearer {token}");

    private static int Count(string text, string part) => text.Split(part).Length - 1;
}
