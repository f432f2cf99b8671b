using Microsoft.Extensions.DependencyInjection;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Storage;
using Orleans.TestingHost;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Runs;
using Phi3VCluster.Silo;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;
using Phi3VCluster.Training.Engine.Checks;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>The whole control plane in this process, with fake data planes.</summary>
internal sealed class TestCluster : IAsyncDisposable
{
    private readonly Dictionary<string, FakeWorkers> _workers = [];
    private readonly Dictionary<string, FakeProbe> _probes = [];
    private readonly FileGrainStorage _storage;
    private readonly string _folder;
    private readonly bool _keepsFolder;

    private TestCluster(int nodes, int ranksPerNode, string? dataFolder)
    {
        _keepsFolder = dataFolder is not null;
        _folder = dataFolder ?? Directory.CreateTempSubdirectory("phi3v-").FullName;
        _storage = new FileGrainStorage(_folder, new JsonStateSerializer());
        var builder = new InProcessTestClusterBuilder((short)nodes);
        builder.ConfigureSilo((options, silo) =>
        {
            var workers = new FakeWorkers(ranksPerNode);
            var probe = new FakeProbe();
            lock (_workers)
            {
                _workers.Add(options.SiloName, workers);
                _probes[options.SiloName] = probe;
            }
            silo.Services.AddSingleton<IRankWorkers>(workers);
            silo.Services.AddSingleton<INodeProbe>(probe);
            silo.AddIncomingGrainCallFilter(probe);
            silo.Services.AddSingleton(Timings);
            silo.AddControlPlane();
            silo.AddOutgoingGrainCallFilter(Lost);
            silo.Services.AddKeyedSingleton<IGrainStorage>(StateStore.Name, _storage); // one for all silos, as a Redis would be
        });
        builder.Options.ConfigureFileLogging = false;
        Host = builder.Build();
    }

    public InProcessTestCluster Host { get; }

    private static RunTimings Timings => new()
    {
        Tick = TimeSpan.FromMilliseconds(50),
        AdmitAfterNewest = TimeSpan.FromMilliseconds(100),
        AdmitAfterFirst = TimeSpan.FromMilliseconds(300),
        Stop = TimeSpan.FromMilliseconds(500),
        Park = TimeSpan.FromSeconds(8),
        Hang = TimeSpan.FromSeconds(2),
    };

    /// <summary>Messages between silos, and to themselves, that do not arrive.</summary>
    public LostMessages Lost { get; } = new();

    /// <summary>What is stored under a run's name.</summary>
    public IReadOnlyList<string> StoredFiles(string run) => [.. Directory.EnumerateFiles(_folder, $"*{Uri.EscapeDataString(run)}*")];

    /// <summary>Activations of seats' grains, on all silos.</summary>
    public async Task<int> SeatGrainsAsync() =>
        (await Grains.GetGrain<IManagementGrain>(0).GetSimpleGrainStatistics()).Where(grain => grain.GrainType.Contains("RankGrain"))
            .Sum(grain => grain.ActivationCount);

    /// <summary>Where runs leave their results.</summary>
    public string Output => Path.Combine(_folder, "output");

    public IGrainFactory Grains => Host.Client;

    public IClusterGrain Front => Grains.GetCluster();

    public FakeWorkers this[string node] => _workers[node];

    /// <summary>What a node tells of itself.</summary>
    public FakeProbe Probe(string node) => _probes[node];

    public IEnumerable<FakeWorkers> AllWorkers => _workers.Values;

    public static async Task<TestCluster> StartAsync(int nodes, int ranksPerNode, string? dataFolder = null)
    {
        var cluster = new TestCluster(nodes, ranksPerNode, dataFolder);
        await cluster.Host.DeployAsync();
        await Eventually.SeeAsync(
            "all nodes are ready", cluster.Front.NodesAsync,
            seen => seen.Count(n => n.State == NodeState.Ready) == nodes);
        return cluster;
    }

    public RunSpec Spec(int minRanks, int maxRanks, int epochs = 1) => new()
    {
        Name = "test",
        Output = Output,
        Epochs = epochs,
        Cluster = new() { MinRanks = minRanks, MaxRanks = maxRanks },
        Model = new() { Path = "/model" },
        Data = new() { Train = "/train.jsonl", Eval = "/eval.jsonl" },
    };

    public Task<string> SubmitAsync(int minRanks, int maxRanks, int epochs = 1) => SubmitAsync(Spec(minRanks, maxRanks, epochs));

    public async Task<string> SubmitAsync(RunSpec spec)
    {
        var reply = await Front.SubmitAsync(new SubmitRequest(RunSpecJson.ToText(spec)));
        Assert.Empty(reply.Problems);
        Assert.Equal(Path.Combine(Output, reply.RunId), reply.Output);
        return reply.RunId;
    }

    /// <summary>Waits until the run's status is good; what never happens is told with the run's log.</summary>
    public async Task<RunStatus> StatusAsync(string run, string what, Func<RunStatus, bool> good)
    {
        try
        {
            return await Eventually.SeeAsync(what, () => Grains.GetRun(run).StatusAsync(), good);
        }
        catch (Xunit.Sdk.FailException never)
        {
            var seats = AllWorkers.SelectMany(w => w.Progress());
            throw new Xunit.Sdk.XunitException(string.Join('\n', [never.Message, .. await LogAsync(run), .. seats]), never);
        }
    }

    /// <summary>All seats of the run finish, those too that a regroup seats meanwhile, until it is done.</summary>
    public Task<RunStatus> FinishAsync(string run) => StatusAsync(run, "it is done", s =>
    {
        AllRanks(p => p.Id.Run == run && p.Phase is RankPhase.Joining or RankPhase.Training
            ? p with { Phase = RankPhase.Finished }
            : p);
        return s.State == RunState.Done;
    });

    /// <summary>Waits until so many seats of the run are in a generation.</summary>
    public Task BegunAsync(string run, int ranks) => Eventually.SeeAsync(
        $"{ranks} ranks of {run} begin",
        () => AllWorkers.SelectMany(w => w.Progress())
            .Count(p => p.Id.Run == run && p.Phase is RankPhase.Joining or RankPhase.Training) == ranks);

    /// <summary>Waits until a generation trains, of so many ranks, and has committed this step.</summary>
    public async Task<RunStatus> TrainAsync(string run, long generation, int ranks, long step)
    {
        await StatusAsync(run, $"generation {generation} of {ranks} ranks begins", s => s.Generation == generation && s.WorldSize == ranks);
        await Eventually.SeeAsync("all have joined",
            () => AllWorkers.SelectMany(w => w.Progress()).Count(p => p.Id.Run == run && p.Generation == generation) >= ranks);
        AllRanks(p => p.Id.Run == run && p.Generation == generation && p.Phase is RankPhase.Joining or RankPhase.Training
            ? p with { Phase = RankPhase.Training, Step = step, TotalSteps = 100 }
            : p);
        return await StatusAsync(run, $"step {step} is reported", s => s.Step == step && s.Phase == "training");
    }

    public Task FreeAsync(int each) =>
        Eventually.SeeAsync("the places are free again", Front.NodesAsync, nodes => nodes.All(n => n.Free == each));

    /// <summary>The run's log, without the times.</summary>
    public async Task<IReadOnlyList<string>> LogAsync(string run) =>
        [.. (await Grains.GetRun(run).LogAsync(0)).Lines.Select(line => line[(line.IndexOf(' ') + 1)..])];

    /// <summary>The silo dies without a farewell.</summary>
    public async Task KillAsync(string node)
    {
        this[node].Hangs = true;
        await Host.KillSiloAsync(Host.Silos.Single(silo => silo.Name == node));
        lock (_workers) _workers.Remove(node); // its seats went with it
    }

    public Task StopAsync(string node) => Host.StopSiloAsync(Host.Silos.Single(silo => silo.Name == node));

    /// <returns>Its name.</returns>
    public async Task<string> AddNodeAsync() => (await Host.StartAdditionalSiloAsync()).Name;

    public async Task<string> NodeOfCoordinatorAsync(string run)
    {
        var management = Grains.GetGrain<IManagementGrain>(0);
        var address = await management.GetActivationAddress((IAddressable)Grains.GetRun(run));
        return Host.Silos.Single(silo => silo.SiloAddress.Equals(address)).Name;
    }

    public void AllRanks(Func<RankProgress, RankProgress> change)
    {
        foreach (var node in AllWorkers) node.All(change);
    }

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        _storage.Dispose();
        if (!_keepsFolder) Directory.Delete(_folder, recursive: true);
    }
}
