using System.Collections.Concurrent;
using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>A whole run in this process, without grains: the test plays the coordinator.</summary>
internal static class LocalRun
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    /// <param name="abortsTheRest">False lets every rank come to an end of its own after one has failed.</param>
    /// <returns>Each rank's last progress, by rank.</returns>
    public static IReadOnlyList<RankProgress> Train(RunSpec spec, int worldSize, string output, bool abortsTheRest = true)
    {
        using var workers = new RankWorkers(worldSize);
        var changed = new BlockingCollection<bool>();
        workers.ReportSoon += () => changed.Add(true);
        var ids = Enumerable.Range(0, worldSize).Select(rank => new RankId(Path.GetFileName(output), 1, rank)).ToList();
        var json = RunSpecJson.ToText(spec);
        var addresses = ids.Select(id => workers.Prepare(id, json, worldSize == 1 ? "loopback" : "tcp")).ToList();
        foreach (var id in ids) workers.Begin(id, worldSize, addresses, output);
        while (true)
        {
            var progress = workers.Progress().OrderBy(p => p.Id.Rank).ToList();
            if (progress.All(p => p.Phase is RankPhase.Finished or RankPhase.Failed or RankPhase.Stopped)) return progress;
            if (abortsTheRest && progress.FirstOrDefault(p => p.Phase == RankPhase.Failed) is { } failed)
                foreach (var id in ids) workers.Abort(id, $"rank {failed.Id.Rank} failed");
            if (progress.All(p => p.Phase == RankPhase.AtBarrier))
                foreach (var id in ids) workers.PassBarrier(id, progress[0].Epoch);
            if (!changed.TryTake(out _, Deadline))
                throw new TimeoutException($"no rank reached a barrier or its end: {string.Join("; ", progress)}");
        }
    }

    public static IReadOnlyList<JsonElement> Steps(string output) =>
        [.. File.ReadLines(Path.Combine(output, "steps.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)];
}
