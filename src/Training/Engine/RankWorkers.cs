using System.Collections.Concurrent;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine;

/// <summary>The node's ranks as threads of this process. See <see cref="IRankWorkers"/> for the contract.</summary>
/// <param name="capacity">Most ranks at a time; no more than devices, where there are CUDA devices.</param>
/// <param name="host">Address under which other nodes reach this one's collectives.</param>
public sealed class RankWorkers(int capacity, string host = "127.0.0.1") : IRankWorkers, IDisposable
{
    private readonly ConcurrentDictionary<RankId, RankWorker> _workers = new();
    private readonly ConcurrentDictionary<string, long> _newestGeneration = new();

    public event Action? ReportSoon;

    private readonly Lazy<int> _cudaDevices = new(() => Cuda.DeviceCount);

    public int Capacity => _cudaDevices.Value == 0 ? capacity : Math.Min(capacity, _cudaDevices.Value);
    public string Device => _cudaDevices.Value == 0 ? "cpu" : $"cuda {Cuda.Name(0)}";

    public string Prepare(RankId id, string specJson, string collective)
    {
        if (IsStale(id)) throw new InputException($"{Describe(id)} is stale; the run is at generation {_newestGeneration[id.Run]}.");
        LibTorch.Load();
        var spec = RunSpecJson.FromText(specJson);
        if (spec.Cluster.Device == "cuda" && _cudaDevices.Value == 0)
            throw new InputException($"cluster.device: cuda was asked for, but {Environment.MachineName} has no CUDA device; use cpu or auto.");
        var problems = RunSpecFiles.Problems(spec);
        if (problems.Count > 0) throw new InputException([.. problems.Select(p => $"{p} (on {Environment.MachineName})")]);

        var device = FreeDevice(spec);
        var compute = RankCompute.Of(spec, device);
        var endpoint = Catalog<ICollectiveBackend>.Find(collective, "cluster.collective").Open(host, device);
        var worker = new RankWorker(id, spec, compute, endpoint, () => ReportSoon?.Invoke());
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

    /// <returns>A CUDA device that no rank occupies; null where the run computes on the CPU.</returns>
    private int? FreeDevice(RunSpec spec)
    {
        if (spec.Cluster.Device == "cpu" || _cudaDevices.Value == 0) return null;
        var taken = _workers.Values.Select(worker => worker.CudaDevice).ToHashSet();
        return Enumerable.Range(0, _cudaDevices.Value).First(device => !taken.Contains(device));
    }

    /// <summary>Remembers the newest generation of each run; true for any older one.</summary>
    private bool IsStale(RankId id) => _newestGeneration.AddOrUpdate(id.Run, id.Generation, (_, newest) => Math.Max(newest, id.Generation)) > id.Generation;

    private static string Describe(RankId id) => $"rank {id.Rank} of {id.Run}, generation {id.Generation},";
}
