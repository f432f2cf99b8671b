using System.Collections.Concurrent;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>The node's ranks as threads of this process. See <see cref="IRankWorkers"/> for the contract.</summary>
/// <param name="capacity">Most ranks at a time.</param>
/// <param name="host">Address under which other nodes reach this one's collectives.</param>
public sealed class RankWorkers(int capacity, string host = "127.0.0.1") : IRankWorkers, IDisposable
{
    private readonly ConcurrentDictionary<RankId, RankWorker> _workers = new();
    private readonly ConcurrentDictionary<string, long> _newestGeneration = new();

    public event Action? ReportSoon;

    public int Capacity => capacity;
    public string Device => "cpu";

    public string Prepare(RankId id, string specJson, string collective)
    {
        if (IsStale(id)) throw new InputException($"{Describe(id)} is stale; the run is at generation {_newestGeneration[id.Run]}.");
        LibTorch.Load();
        var spec = RunSpecJson.FromText(specJson);
        if (spec.Cluster.Device == "cuda" && !cuda.is_available())
            throw new InputException($"cluster.device: cuda was asked for, but {Environment.MachineName} has no CUDA device; use cpu or auto.");
        var problems = RunSpecFiles.Problems(spec);
        if (problems.Count > 0) throw new InputException([.. problems.Select(p => $"{p} (on {Environment.MachineName})")]);

        var endpoint = Catalog<ICollectiveBackend>.Find(collective, "cluster.collective").Open(host);
        var worker = new RankWorker(id, spec, endpoint, () => ReportSoon?.Invoke());
        if (!_workers.TryAdd(id, worker))
        {
            worker.Dispose();
            throw new InputException($"{Describe(id)} is prepared already.");
        }
        return endpoint.Address;
    }

    public void Begin(RankId id, int worldSize, IReadOnlyList<string> addresses, string outputFolder)
    {
        if (IsStale(id) || !_workers.TryGetValue(id, out var worker)) return;
        var ranksHere = _workers.Keys.Count(other => other.Run == id.Run && other.Generation == id.Generation);
        worker.Begin(worldSize, addresses, outputFolder, threads: Math.Max(1, Environment.ProcessorCount / ranksHere));
    }

    public void PassBarrier(RankId id, int epoch)
    {
        if (_workers.TryGetValue(id, out var worker)) worker.PassBarrier(epoch);
    }

    public void Abort(RankId id, string reason)
    {
        if (_workers.TryGetValue(id, out var worker)) worker.Abort(reason);
    }

    public IReadOnlyList<RankProgress> Progress() => [.. _workers.Values.Select(w => w.Progress)];

    public void Forget(RankId id)
    {
        if (_workers.TryRemove(id, out var worker)) worker.Dispose();
    }

    public void Dispose()
    {
        foreach (var worker in _workers.Values) worker.Abort("the silo stops");
        foreach (var id in _workers.Keys) Forget(id);
    }

    /// <summary>Remembers the newest generation of each run; true for any older one.</summary>
    private bool IsStale(RankId id) => _newestGeneration.AddOrUpdate(id.Run, id.Generation, (_, newest) => Math.Max(newest, id.Generation)) > id.Generation;

    private static string Describe(RankId id) => $"rank {id.Rank} of {id.Run}, generation {id.Generation},";
}
