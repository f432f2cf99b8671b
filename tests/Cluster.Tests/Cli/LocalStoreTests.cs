using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.Cli;

/// <summary>The store's executable by itself.</summary>
public sealed class LocalStoreTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_store_ends_with_its_standard_input_and_shares_its_folder_with_none()
    {
        var port = FreePorts.One();
        await using var store = Start(port, "store");
        await Eventually.Holds(() => File.Exists(_cli.At("ready.json")), CliSandbox.Timeout, $"the store is ready; it says {store.Stderr}");

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

    private RunningProcess Start(int port, string folder) => _cli.StartOther(CliSandbox.StoreExecutable,
        "--port", $"{port}", "--data", _cli.At(folder), "--ready-file", _cli.At("ready.json"));
}
