using System.Collections.Concurrent;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>A node's data plane whose ranks do what the test says.</summary>
internal sealed class FakeWorkers(int capacity) : IRankWorkers
{
    private readonly ConcurrentDictionary<RankId, RankProgress> _ranks = new();

    public event Action? ReportSoon;

    public int Capacity => capacity;

    public string Device => "cpu";

    /// <summary>What the preflight finds wrong.</summary>
    public string? Problem { get; set; }

    /// <summary>Ranks hang: an abort does not end them.</summary>
    public bool Hangs { get; set; }

    public ConcurrentQueue<(RankId Id, IReadOnlyList<string> Addresses)> Begun { get; } = new();

    public ConcurrentQueue<(RankId Id, int Epoch)> Passed { get; } = new();

    public string Prepare(RankId id, string specJson, string collective) =>
        Problem is null ? $"{collective}://{id.Rank}" : throw new InputException(Problem);

    public void Begin(RankId id, int worldSize, IReadOnlyList<string> addresses, string outputFolder)
    {
        Begun.Enqueue((id, addresses));
        _ranks[id] = new RankProgress(id, RankPhase.Starting);
    }

    public void PassBarrier(RankId id, int epoch)
    {
        Passed.Enqueue((id, epoch));
        Set(id, p => p with { Phase = RankPhase.Training });
    }

    public void Abort(RankId id, string reason)
    {
        if (!Hangs) Set(id, p => p with { Phase = RankPhase.Stopped, Error = reason });
    }

    public IReadOnlyList<RankProgress> Progress() => [.. _ranks.Values];

    public void Forget(RankId id) => _ranks.TryRemove(id, out _);

    /// <summary>All ranks of the node are there now.</summary>
    public void All(Func<RankProgress, RankProgress> change)
    {
        foreach (var id in _ranks.Keys) Set(id, change);
    }

    private void Set(RankId id, Func<RankProgress, RankProgress> change)
    {
        while (_ranks.TryGetValue(id, out var old) && !_ranks.TryUpdate(id, change(old), old)) { }
        ReportSoon?.Invoke();
    }
}
