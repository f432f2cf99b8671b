using System.Collections.Concurrent;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Engine;

/// <summary>The node's seats as threads of this process. See <see cref="IRankWorkers"/> for the contract.</summary>
public sealed class RankWorkers : IRankWorkers, IDisposable
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<SeatId, RankWorker> _workers = new();
    private readonly HashSet<SeatId> _ended = []; // seats that were forgotten: a late order must not bring one back
    private readonly Lazy<Devices> _cuda;
    private readonly Lazy<SeatMachine> _machine;
    private readonly int _capacity;

    /// <param name="capacity">
    /// Most seats at a time; no more than devices, where there are CUDA devices. With 0, libtorch is not loaded.
    /// </param>
    /// <param name="host">Address under which other nodes reach this one's collectives.</param>
    /// <param name="node">Name of the node, as metrics label it; null: the machine's.</param>
    /// <param name="threads">That all seats together compute with on the CPU; null: one for each of the machine's cores.</param>
    /// <param name="usesGpus">False leaves CUDA devices alone, as if there were none.</param>
    /// <param name="tls">For what ranks say to those of other nodes; null: in the clear.</param>
    public RankWorkers(
        int capacity, string host = "127.0.0.1", string? node = null, int? threads = null, bool usesGpus = true, IPeerTls? tls = null)
    {
        _capacity = capacity;
        _cuda = new(() => new Devices(usesGpus ? Cuda.DeviceCount : 0));
        _machine = new(() => new SeatMachine(
            _cuda.Value, host, tls, node ?? Environment.MachineName, threads ?? Environment.ProcessorCount, SeatsOf));
    }

    public event Action? ReportSoon;

    public int Capacity => _capacity == 0 || _cuda.Value.Count == 0 ? _capacity : Math.Min(_capacity, _cuda.Value.Count);
    public string Device => _capacity == 0 ? "none" : _cuda.Value.Count == 0 ? "cpu" : $"cuda {Cuda.Name(0)}";

    public bool Take(SeatId id, long version, SeatOrder order)
    {
        lock (_ended)
        {
            if (_ended.Contains(id)) return false;
            if (_workers.TryGetValue(id, out var known)) return known.Take(version);
            _workers[id] = new RankWorker(id, version, order, _machine.Value, Changed);
        }
        ReportSoon?.Invoke();
        return true;
    }

    public bool Join(SeatId id, long version, Assignment assignment) => Tell(id, worker => worker.Join(version, assignment));

    public bool Part(SeatId id, long version, long generation) => Tell(id, worker => worker.Part(version, generation));

    public bool Break(SeatId id, long version, long generation, string reason) =>
        Tell(id, worker => worker.Break(version, generation, reason));

    public bool Keep(SeatId id, long version) => Tell(id, worker => worker.Keep(version));

    public bool Leave(SeatId id, long version, string reason) => Tell(id, worker => worker.Leave(version, reason));

    public void Answered(SeatId id)
    {
        if (_workers.TryGetValue(id, out var worker)) worker.Answered();
    }

    public IReadOnlyList<RankProgress> Progress() => [.. _workers.Values.Where(w => !w.IsForgotten).Select(w => w.Progress)];

    public IReadOnlyList<SeatId> Occupied() => [.. _workers.Values.Where(w => w.HoldsItsPlace).Select(w => w.Progress.Id)];

    public void Forget(SeatId id)
    {
        lock (_ended) _ended.Add(id);
        if (!_workers.TryGetValue(id, out var worker)) return;
        worker.Forget();
        if (!worker.HoldsItsPlace) _workers.TryRemove(id, out _); // else its thread does it
    }

    public void Dispose()
    {
        foreach (var worker in _workers.Values) worker.Leave(long.MaxValue, "the silo stops");
        foreach (var worker in _workers.Values) worker.WaitForEnd(StopTimeout); // one still inside libtorch: its memory must outlive it
    }

    private bool Tell(SeatId id, Func<RankWorker, bool> order) => _workers.TryGetValue(id, out var worker) && order(worker);

    private int SeatsOf(string run) => _workers.Values.Count(worker => worker.Progress.Id.Run == run && worker.HoldsItsPlace);

    /// <summary>A seat is in another phase, or has left its place.</summary>
    private void Changed(RankWorker worker)
    {
        if (worker is { IsForgotten: true, HoldsItsPlace: false }) _workers.TryRemove(worker.Progress.Id, out _);
        ReportSoon?.Invoke();
    }
}
