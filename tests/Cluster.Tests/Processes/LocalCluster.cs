using System.Text.Json;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>
/// Several silos of one machine as <c>phi3v up --silos N</c> starts them, nodes n1, n2, …, and ways to hurt them. Whatever is left of them
/// ends with the sandbox.
/// </summary>
public sealed class LocalCluster : IAsyncDisposable
{
    private readonly CliSandbox _cli;
    private readonly Dictionary<int, GatewayClient> _clients = [];
    private readonly List<RunningProcess> _late = [];

    private LocalCluster(CliSandbox cli, JsonElement up) => (_cli, Up) = (cli, up);

    /// <summary>What <c>up --json</c> said.</summary>
    public JsonElement Up { get; }

    /// <summary>Starts it and waits until all its silos answer.</summary>
    /// <param name="ranks">Of each silo.</param>
    public static async Task<LocalCluster> StartAsync(CliSandbox cli, int silos, int ranks = 1)
    {
        var up = await cli.JsonAsync(0, ["up", "--silos", $"{silos}", "--ranks", $"{ranks}", .. FreePorts.TakeFor(silos).Options]);
        return new(cli, up);
    }

    public int Supervisor => State.GetProperty("process_id").GetInt32();

    /// <summary>The store's process; null while it is being started.</summary>
    public int? Store => Number(State.GetProperty("store").GetProperty("process_id"));

    public int StorePort => State.GetProperty("store").GetProperty("port").GetInt32();

    /// <summary>The processes there are: supervisor, store and silos.</summary>
    public IReadOnlyList<int> Processes => _cli.Processes();

    private JsonElement State => JsonDocument.Parse(File.ReadAllText(_cli.At("home/cluster.json"))).RootElement;

    /// <summary>The process of a node's silo; null while it is being started.</summary>
    public int? Silo(string node) => Number(Entry(node).GetProperty("process_id"));

    /// <summary>A client of the gateway of a node that the test lets live.</summary>
    public async Task<GatewayClient> ClientAsync(string node = "n1")
    {
        var port = Entry(node).GetProperty("gateway_port").GetInt32();
        return _clients.TryGetValue(port, out var client) ? client : _clients[port] = await GatewayClient.ConnectAsync(port);
    }

    /// <summary>Waits until the nodes are as expected, as one of them tells it.</summary>
    public async Task<IReadOnlyList<NodeInfo>> SeeNodesAsync(
        string what, Func<IReadOnlyList<NodeInfo>, bool> good, string askedAt = "n1", TimeSpan? patience = null)
    {
        var client = await ClientAsync(askedAt);
        return await GatewayClient.SeeAsync(what, client.Cluster.NodesAsync, good, patience);
    }

    /// <summary>Waits until these nodes, and no others, take runs.</summary>
    public Task<IReadOnlyList<NodeInfo>> SeeReadyAsync(params string[] nodes) => SeeNodesAsync(
        $"{string.Join(", ", nodes)} are ready",
        all => nodes.SequenceEqual(all.Where(n => n.State == NodeState.Ready).Select(n => n.Node)));

    public void Kill(string node) => RunningProcess.Signal(Silo(node)!.Value, RunningProcess.Kill);

    public void KillStore() => RunningProcess.Signal(Store!.Value, RunningProcess.Kill);

    public void KillSupervisor() => RunningProcess.Signal(Supervisor, RunningProcess.Kill);

    /// <summary>Stops a node's process whole, as a machine does that swaps or is paused, and lets it go on.</summary>
    public async Task FreezeAsync(string node, TimeSpan time)
    {
        using var frozen = new FrozenProcess(Silo(node)!.Value);
        await Task.Delay(time);
    }

    /// <summary>A node's process stands still until the end of this.</summary>
    public IDisposable Without(string node) => new FrozenProcess(Silo(node)!.Value);

    /// <summary>A node's process stands still for most of the time until the end of this, as on a crowded machine.</summary>
    public IAsyncDisposable Slow(string node) => new Slowed(Silo(node)!.Value);

    /// <summary>What dies stays dead until the end of this.</summary>
    public IDisposable WithoutSupervisor() => new FrozenProcess(Supervisor);

    /// <summary>The store answers nobody until the end of this.</summary>
    public IDisposable WithoutStore() => new FrozenProcess(Store!.Value);

    /// <summary>Until the supervisor has a new process in the place of one.</summary>
    public Task UntilReplacedAsync(int dead, Func<int?> now, string what) =>
        Eventually.Holds(() => now() is { } process && process != dead, CliSandbox.Timeout, what);

    /// <summary>Starts a silo that the supervisor knows nothing of; it lives as long as this object.</summary>
    public RunningProcess AddLate(string node, int ranks = 1)
    {
        var silo = _cli.StartOther(CliSandbox.SiloExecutable, [.. FreePorts.Take().Options, "--node", node, "--ranks", $"{ranks}",
            "--redis", $"127.0.0.1:{StorePort}", "--until-stdin-closes"]);
        _late.Add(silo);
        return silo;
    }

    /// <summary>What a node's silos have logged, those before it was started again too.</summary>
    public string Log(string node) => LogOf($"silo-{node}");

    public string SupervisorLog() => LogOf("supervisor");

    public async Task DownAsync()
    {
        await _cli.JsonAsync(0, "down", "--force");
        Assert.Empty(Processes);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients.Values) await client.DisposeAsync();
        foreach (var silo in _late) await silo.DisposeAsync();
    }

    private string LogOf(string name) => File.ReadAllText(_cli.At($"home/{name}.log"));

    private JsonElement Entry(string node) =>
        State.GetProperty("silos").EnumerateArray().Single(silo => silo.GetProperty("node").GetString() == node);

    private static int? Number(JsonElement value) => value.ValueKind == JsonValueKind.Number ? value.GetInt32() : null;

    private sealed class Slowed : IAsyncDisposable
    {
        private static readonly TimeSpan Stands = TimeSpan.FromMilliseconds(300), Goes = TimeSpan.FromMilliseconds(60);

        private readonly CancellationTokenSource _end = new();
        private readonly Task _task;

        public Slowed(int process) => _task = Task.Run(async () =>
        {
            while (!_end.IsCancellationRequested)
            {
                using (new FrozenProcess(process)) await Task.Delay(Stands);
                await Task.Delay(Goes);
            }
        });

        public async ValueTask DisposeAsync()
        {
            await _end.CancelAsync();
            await _task;
            _end.Dispose();
        }
    }
}
