using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Cluster.Tests.Processes;
using StackExchange.Redis;

namespace Phi3VCluster.Cluster.Tests.Cli;

/// <summary>The store's executable by itself.</summary>
public sealed class LocalStoreTests : IDisposable
{
    private const int Keys = 2000;

    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_store_ends_with_its_standard_input_and_shares_its_folder_with_none()
    {
        await using var store = await StartReadyAsync(FreePorts.One());

        var other = await Start(FreePorts.One(), "store").EndAsync(CliSandbox.Timeout);
        Assert.Equal(2, other.ExitCode);
        Assert.StartsWith($"--data: the folder {_cli.At("store")} cannot be used, got: ", other.Stderr);

        await store.WriteAsync("");
        Assert.Equal((0, "", ""), await store.EndAsync(CliSandbox.Timeout) is var end ? (end.ExitCode, end.Stdout, end.Stderr) : default);
    }

    [Fact]
    public async Task A_port_in_use_is_named_in_one_sentence()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;

        var result = await Start(port, "store").EndAsync(CliSandbox.Timeout);

        Assert.Equal((2, $"--port: cannot be listened at, got {port} (Address already in use); choose another.\n"),
            (result.ExitCode, result.Stderr));
        Assert.False(File.Exists(_cli.At("ready.json")));
    }

    [Fact]
    public async Task A_store_has_more_than_its_memory_and_all_that_it_answered_to_before_it_was_killed()
    {
        var (port, half) = (FreePorts.One(), new string('x', 25_000));
        string StateOf(int key) => $"{half}{key}{half}"; // 100 MB in all, of which it keeps 64 in memory
        await using (var store = await StartReadyAsync(port))
        {
            await using var writer = await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{port}");
            foreach (var keys in Enumerable.Range(0, Keys).Chunk(50))
                await Task.WhenAll(keys.Select(key => writer.GetDatabase().HashSetAsync($"{key}", "state", StateOf(key))));
            Assert.True(await AllAsync(writer));
            store.Signal(RunningProcess.Kill);
            await store.EndAsync(CliSandbox.Timeout);
        }

        File.Delete(_cli.At("ready.json"));
        await using var again = await StartReadyAsync(port);
        await using var reader = await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{port}");
        Assert.True(await AllAsync(reader));

        async Task<bool> AllAsync(ConnectionMultiplexer from)
        {
            for (var key = 0; key < Keys; key++)
                if (await from.GetDatabase().HashGetAsync($"{key}", "state") != StateOf(key)) return false;
            return true;
        }
    }

    private async Task<RunningProcess> StartReadyAsync(int port)
    {
        var store = Start(port, "store");
        await Eventually.Holds(() => Task.FromResult(File.Exists(_cli.At("ready.json"))), CliSandbox.Timeout,
            () => $"the store is ready; it says {store.Stderr}");
        return store;
    }

    private RunningProcess Start(int port, string folder) => _cli.StartOther(CliSandbox.StoreExecutable,
        "--port", $"{port}", "--data", _cli.At(folder), "--ready-file", _cli.At("ready.json"));
}
