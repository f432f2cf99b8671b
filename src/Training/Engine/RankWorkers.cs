using System.Collections.Concurrent;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine;

/// <summary>The node's ranks as threads of this process. See <see cref="IRankWorkers"/> for the contract.</summary>
/// <param name="capacity">Most ranks at a time; no more than devices, where there are CUDA devices.</param>
/// <param name="host">Address under which other nodes reach this one's collectives.</param>
/// <param name="node">Name of the node, as metrics label it; null: the machine's.</param>
public sealed class RankWorkers(int capacity, string host = "127.0.0.1", string? node = null) : IRankWorkers, IDisposable
{
    private static readonly TimeSpan DevicePatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<RankId, RankWorker> _workers = new();
    private readonly ConcurrentDictionary<string, long> _newestGeneration = new();
    private readonly Lazy<Devices> _cuda = new(() => new Devices(Cuda.DeviceCount));

    public event Action? ReportSoon;

    public int Capacity => _cuda.Value.Count == 0 ? capacity : Math.Min(capacity, _cuda.Value.Count);
    public string Device => _cuda.Value.Count == 0 ? "cpu" : $"cuda {Cuda.Name(0)}";

    public string Prepare(RankId id, string specJson, string collective)
    {
        if (IsStale(id)) throw new InputException($"{Describe(id)} is stale; the run is at generation {_newestGeneration[id.Run]}.");
        if (_workers.TryGetValue(id, out var known)) return AddressOf(known); // the answer was lost
        LibTorch.Load();
        var spec = RunSpecJson.FromText(specJson);
        if (spec.Cluster.Device == "cuda" && _cuda.Value.Count == 0)
            throw new InputException($"cluster.device: cuda was asked for, but {Environment.MachineName} has no CUDA device; use cpu or auto.");
        var problems = RunSpecFiles.Problems(spec);
        if (problems.Count > 0) throw new InputException([.. problems.Select(p => $"{p} (on {Environment.MachineName})")]);
        var worker = Open(id, spec, collective);
        var kept = _workers.GetOrAdd(id, worker);
        if (!ReferenceEquals(kept, worker)) worker.Abort("it was prepared twice");
        return AddressOf(kept);
    }

    public bool Begin(RankId id, int worldSize, IReadOnlyList<string> addresses, string outputFolder)
    {
        if (IsStale(id) || !_workers.TryGetValue(id, out var worker)) return false;
        var ranksHere = _workers.Keys.Count(other => other.Run == id.Run && other.Generation == id.Generation);
        return worker.Begin(worldSize, addresses, outputFolder, threads: Math.Max(1, Environment.ProcessorCount / ranksHere));
    }

    public void PassBarrier(RankId id, int epoch)
    {
        if (_workers.TryGetValue(id, out var worker)) worker.PassBarrier(epoch);
    }

    public void Abort(RankId id, string reason)
    {
        if (_workers.TryGetValue(id, out var worker)) worker.Abort(reason);
    }

    public IReadOnlyList<RankProgress> Progress() => [.. _workers.Values.Where(w => !w.IsForgotten).Select(w => w.Progress)];

    public IReadOnlyList<RankId> Occupied() => [.. _workers.Values.Where(w => w.HoldsItsPlace).Select(w => w.Progress.Id)];

    public void Forget(RankId id)
    {
        if (!_workers.TryGetValue(id, out var worker)) return;
        worker.Forget();
        if (!worker.HoldsItsPlace) _workers.TryRemove(id, out _); // else its thread does it
    }

    public void Dispose()
    {
        foreach (var worker in _workers.Values) worker.Abort("the silo stops");
        foreach (var worker in _workers.Values) worker.Join(StopTimeout); // one still inside libtorch: its memory must outlive it
    }

    private RankWorker Open(RankId id, RunSpec spec, string collective)
    {
        var device = spec.Cluster.Device == "cpu" || _cuda.Value.Count == 0 ? null : _cuda.Value.Claim(DevicePatience);
        ICollectiveEndpoint? endpoint = null;
        try
        {
            spec = RunPrecision.Resolve(spec, device?.Index);
            var compute = RankCompute.Of(spec, device?.Index);
            endpoint = Catalog<ICollectiveBackend>.Find(collective, "cluster.collective").Open(host, device?.Index);
            return new RankWorker(id, spec, compute, node ?? Environment.MachineName, endpoint, device, Changed);
        }
        catch
        {
            endpoint?.Dispose();
            device?.Dispose();
            throw;
        }
    }

    private static string AddressOf(RankWorker worker) => worker.Progress is { Phase: not RankPhase.Stopped } progress
        ? progress.Address
        : throw new InputException($"{Describe(worker.Progress.Id)} was aborted: {worker.Progress.Error}.");

    /// <summary>A rank is in another phase, or has left its place.</summary>
    private void Changed(RankWorker worker)
    {
        if (worker is { IsForgotten: true, HoldsItsPlace: false }) _workers.TryRemove(worker.Progress.Id, out _);
        ReportSoon?.Invoke();
    }

    /// <summary>Remembers the newest generation of each run; true for any older one.</summary>
    private bool IsStale(RankId id) =>
        _newestGeneration.AddOrUpdate(id.Run, id.Generation, (_, newest) => Math.Max(newest, id.Generation)) > id.Generation;

    private static string Describe(RankId id) => $"rank {id.Rank} of {id.Run}, generation {id.Generation},";
}
