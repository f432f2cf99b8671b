using System.Net.Sockets;
using System.Text;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.EndToEnd;

/// <summary>A cluster that keeps its state in Redis.</summary>
public sealed class RedisTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_run_s_state_is_in_Redis_and_outlives_the_silo()
    {
        var (port, run) = (FreePorts.One(), new TinyRun(_cli));
        await using var redis = await StartRedisAsync(port);
        var cluster = await LiveCluster.UpAsync(_cli, ranks: 2, "--redis", $"127.0.0.1:{port}");

        var id = await cluster.SubmitAsync(run.Spec(ranks: 2, epochs: 1));
        await cluster.UntilEndAsync(id, "done");

        var keys = await AskAsync(port, "KEYS *", until: text => text.Contains(id));
        Assert.Contains("/state/run/", keys);
        _ = await _cli.JsonAsync(0, "down");
        cluster = await LiveCluster.UpAsync(_cli, ranks: 2, "--redis", $"127.0.0.1:{port}");
        await cluster.UntilEndAsync(id, "done");
        _ = await _cli.JsonAsync(0, "down");
        Assert.Empty(_cli.Processes("phi3v-silo"));
    }

    [Fact]
    public async Task Up_without_a_Redis_at_the_address_says_so()
    {
        var result = await _cli.RunAsync(["up", .. FreePorts.Take().Options, "--redis", $"127.0.0.1:{FreePorts.One()}"]);

        Assert.Contains("--redis: no Redis answers at '127.0.0.1:", result.Stderr);
        Assert.Equal(2, result.ExitCode);
        Assert.Empty(_cli.Processes());
    }

    private async Task<RunningProcess> StartRedisAsync(int port)
    {
        var places = Environment.GetEnvironmentVariable("PATH")!.Split(':').Select(p => Path.Combine(p, "redis-server"));
        var server = places.FirstOrDefault(File.Exists);
        if (server is null) Assert.Skip("there is no redis-server on PATH");
        var redis = _cli.StartOther(server, "--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no");
        await Eventually.Holds(() => redis.Stdout.Contains("Ready to accept connections"), CliSandbox.Timeout, "redis-server is ready");
        return redis;
    }

    /// <summary>Asks in Redis's plain text protocol.</summary>
    private static async Task<string> AskAsync(int port, string question, Func<string, bool> until)
    {
        using var client = new TcpClient("127.0.0.1", port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(question + "\r\n"));
        using var deadline = new CancellationTokenSource(CliSandbox.Timeout);
        var (text, buffer) = (new StringBuilder(), new byte[65536]);
        while (!until(text.ToString()))
            text.Append(Encoding.ASCII.GetString(buffer, 0, await client.GetStream().ReadAsync(buffer, deadline.Token)));
        return text.ToString();
    }
}
