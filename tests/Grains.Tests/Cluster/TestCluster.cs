using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Hosting;
using Orleans.Storage;
using Orleans.TestingHost;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Runs;
using Phi3VCluster.Silo;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>The whole control plane in this process, with fake data planes.</summary>
internal sealed class TestCluster : IAsyncDisposable
{
    private readonly Dictionary<string, FakeWorkers> _workers = [];
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
            lock (_workers) _workers.Add(options.SiloName, workers);
            silo.Services.AddSingleton<IRankWorkers>(workers);
            silo.Services.AddSingleton(new RunTimings { Stop = TimeSpan.FromMilliseconds(500) });
            silo.AddControlPlane();
            silo.AddOutgoingGrainCallFilter(Lost);
            silo.Services.AddKeyedSingleton<IGrainStorage>(StateStore.Name, _storage); // one for all silos, as a Redis would be
        });
        builder.Options.ConfigureFileLogging = false;
        Host = builder.Build();
    }

    public InProcessTestCluster Host { get; }

    /// <summary>Messages between silos, and to themselves, that do not arrive.</summary>
    public LostMessages Lost { get; } = new();

    /// <summary>Where runs leave their results.</summary>
    public string Output => Path.Combine(_folder, "output");

    public IGrainFactory Grains => Host.Client;

    public IClusterGrain Front => Grains.GetCluster();

    public FakeWorkers this[string node] => _workers[node];

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

    public async Task<string> SubmitAsync(int minRanks, int maxRanks, int epochs = 1)
    {
        var spec = new RunSpec
        {
            Name = "test",
            Output = Output,
            Epochs = epochs,
            Cluster = new() { MinRanks = minRanks, MaxRanks = maxRanks },
            Model = new() { Path = "/model" },
            Data = new() { Train = "/train.jsonl", Eval = "/eval.jsonl" },
        };
        var reply = await Front.SubmitAsync(new SubmitRequest(JsonSerializer.Serialize(spec, JsonSerializerOptions.Web)));
        Assert.Empty(reply.Problems);
        Assert.Equal(Path.Combine(Output, reply.RunId), reply.Output);
        return reply.RunId;
    }

    public Task<RunStatus> StatusAsync(string run, string what, Func<RunStatus, bool> good) =>
        Eventually.SeeAsync(what, () => Grains.GetRun(run).StatusAsync(), good);

    /// <summary>Waits until every rank of the run was begun.</summary>
    public Task BegunAsync(string run, int ranks) => Eventually.SeeAsync(
        $"{ranks} ranks of {run} begin",
        () => AllWorkers.SelectMany(w => w.Progress()).Count(p => p.Id.Run == run && p.Phase != RankPhase.Prepared) == ranks);

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
