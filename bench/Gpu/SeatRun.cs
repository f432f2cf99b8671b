using System.Collections.Concurrent;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Bench.Gpu;

/// <summary>A run of one rank in this process, as a silo would start it.</summary>
internal static class SeatRun
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    /// <param name="whenFinished">Called while the seat still holds its state.</param>
    public static void Finish(RunSpec spec, string output, Action? whenFinished = null)
    {
        using var workers = new RankWorkers(1);
        var changes = new BlockingCollection<bool>(); // not disposed: a rank may still be leaving
        workers.ReportSoon += () => changes.Add(true);
        var id = new SeatId(Path.GetFileName(output), 0);
        workers.Take(id, version: 1, new(RunSpecJson.ToText(spec), "tcp", output));
        while (true)
        {
            var now = workers.Progress().Single();
            if (now.Error is not null) throw new InvalidOperationException(now.Error);
            if (now.Phase == RankPhase.Finished) break;
            if (now.Offer is { } offer) workers.Join(id, version: 2, new(Generation: 1, Rank: 0, [offer.Address], Source: 0));
            if (!changes.TryTake(out _, Patience)) throw new TimeoutException($"the run stands at {now.Phase}, step {now.Step}");
        }
        whenFinished?.Invoke();
    }
}
