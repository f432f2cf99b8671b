using System.Collections.Concurrent;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>A node's data plane whose ranks do what the test says. Held to the same contract as the real one.</summary>
internal sealed class FakeWorkers(int capacity) : IRankWorkers
{
    private readonly ConcurrentDictionary<RankId, RankProgress> _ranks = new();
    private readonly ConcurrentDictionary<RankId, bool> _lingering = new();
    private readonly ConcurrentDictionary<string, long> _newest = new();

    public event Action? ReportSoon;

    public int Capacity => capacity;

    public string Device => "cpu";

    /// <summary>What the preflight finds wrong.</summary>
    public string? Problem { get; set; }

    /// <summary>A preflight waits for it.</summary>
    public ManualResetEventSlim Preflight { get; } = new(initialState: true);

    /// <summary>Ranks hang: an abort does not end them.</summary>
    public bool Hangs { get; set; }

    /// <summary>Ranks say that they stopped, and their threads compute on until <see cref="Leave"/>.</summary>
    public bool Lingers { get; set; }

    public ConcurrentQueue<(RankId Id, IReadOnlyList<string> Addresses)> Begun { get; } = new();

    public ConcurrentQueue<(RankId Id, int Epoch)> Passed { get; } = new();

    public string Prepare(RankId id, string specJson, string collective)
    {
        if (IsStale(id)) throw new InputException($"{id} is stale.");
        Preflight.Wait();
        if (Problem is not null) throw new InputException(Problem);
        var address = $"{collective}://{id.Rank}";
        _ranks.TryAdd(id, new RankProgress(id, RankPhase.Prepared) { Address = address });
        ReportSoon?.Invoke();
        return address;
    }

    public bool Begin(RankId id, int worldSize, IReadOnlyList<string> addresses, string outputFolder)
    {
        if (IsStale(id) || !_ranks.TryGetValue(id, out var rank) || rank.Phase == RankPhase.Stopped) return false;
        if (rank.Phase != RankPhase.Prepared) return true;
        Begun.Enqueue((id, addresses));
        Set(id, p => p with { Phase = RankPhase.Starting });
        return true;
    }

    public void PassBarrier(RankId id, int epoch)
    {
        Passed.Enqueue((id, epoch));
        Set(id, p => p with { Phase = RankPhase.Training });
    }

    public void Abort(RankId id, string reason)
    {
        if (Hangs || !_ranks.TryGetValue(id, out var rank) || HasEnded(rank)) return;
        if (Lingers && rank.Phase != RankPhase.Prepared) _lingering[id] = true;
        Set(id, p => p with { Phase = RankPhase.Stopped, Error = reason });
    }

    public IReadOnlyList<RankProgress> Progress() => [.. _ranks.Values];

    public IReadOnlyList<RankId> Occupied() =>
        [.. _ranks.Values.Where(rank => !HasEnded(rank)).Select(rank => rank.Id).Union(_lingering.Keys)];

    public void Forget(RankId id)
    {
        Abort(id, "forgotten");
        _ranks.TryRemove(id, out _);
    }

    /// <summary>All ranks of the node are there now.</summary>
    public void All(Func<RankProgress, RankProgress> change)
    {
        foreach (var id in _ranks.Keys) Set(id, change);
    }

    /// <summary>The threads of lingering ranks end.</summary>
    public void Leave()
    {
        _lingering.Clear();
        ReportSoon?.Invoke();
    }

    private bool IsStale(RankId id) =>
        _newest.AddOrUpdate(id.Run, id.Generation, (_, newest) => Math.Max(newest, id.Generation)) > id.Generation;

    private static bool HasEnded(RankProgress rank) => rank.Phase is RankPhase.Finished or RankPhase.Failed or RankPhase.Stopped;

    private void Set(RankId id, Func<RankProgress, RankProgress> change)
    {
        while (_ranks.TryGetValue(id, out var old) && !_ranks.TryUpdate(id, change(old), old)) { }
        ReportSoon?.Invoke();
    }
}
