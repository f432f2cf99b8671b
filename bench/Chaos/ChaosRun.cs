using System.Diagnostics;
using System.Text.Json;
using Phi3VCluster.Samples;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Bench.Chaos;

/// <summary>What was done to the cluster, and what became of the run.</summary>
/// <param name="Step">The newest that was seen before it.</param>
/// <param name="Generations">That were formed until all was well again.</param>
/// <param name="LongestGap">Most seconds without a committed step from the fault on.</param>
/// <param name="SettledAfter">Seconds until as many ranks trained as before; null: they did not in two minutes.</param>
internal sealed record ChaosFault(long Step, string Kind, string Node, long Generations, double LongestGap, double? SettledAfter);

/// <param name="StepsLost">Committed, seen, and done anew.</param>
/// <param name="SamplesTwice">Within an epoch; none may be.</param>
/// <param name="SamplesMissing">Of epochs that are over; none may be.</param>
/// <param name="FromReplay">From a <see cref="ChaosReplay"/>'s losses; none may differ in any bit.</param>
/// <param name="FromUndisturbed">From the losses of a run on three ranks to which nothing happened.</param>
/// <param name="Rounding">The largest between that run's losses and those of one on two ranks to which nothing happened either.</param>
/// <param name="HeldBefore">By a silo after one short run, before all this.</param>
/// <param name="HeldAfter">By a silo when all runs have ended.</param>
/// <param name="PartsLeft">Files in the results that were to be renamed and were not.</param>
/// <param name="ProcessesLeft">After the cluster was stopped.</param>
internal sealed record ChaosReport(
    string Method, int Seed, IReadOnlyList<ChaosFault> Faults, long Steps, long Generations, long StepsLost,
    int SamplesTwice, int SamplesMissing, ChaosDifference FromReplay, ChaosDifference FromUndisturbed, double Rounding,
    ChaosHeld HeldBefore, ChaosHeld HeldAfter, int PartsLeft, int ProcessesLeft);

/// <param name="Files">Open ones, and sockets.</param>
internal sealed record ChaosHeld(int Threads, int Files);

/// <summary>One run over three silos that are killed, frozen, emptied and joined by a fourth, in an order that the seed draws.</summary>
internal sealed class ChaosRun(string folder, string method, int faults, int seed, TimeSpan least)
{
    /// <summary>Loss differences above it are worth a look at where they began.</summary>
    public const double Slight = 1e-5;

    private const int Pages = 48, Batch = 8;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2), Calm = TimeSpan.FromSeconds(2), Pause = TimeSpan.FromSeconds(0.5);

    private readonly Random _random = new(seed);

    public ChaosReport Play(Action<ChaosFault> told)
    {
        using var cluster = new ChaosCluster(folder, seed);
        var spec = WriteSpec();
        var before = HeldAfterAShortRun(cluster, spec);
        var (run, record) = Submit(cluster, spec);
        var (done, began) = (new List<ChaosFault>(), Stopwatch.GetTimestamp());
        using var watch = new StepsWatch(record);
        Wait("it trains", () => watch.Steps > 5);
        Settled(cluster, run, ranks: 3);
        while (done.Count < faults)
        {
            done.Add(Hurt(cluster, run, watch));
            told(done[^1]);
        }
        while (Stopwatch.GetElapsedTime(began) < least) Thread.Sleep(Pause);
        var generations = End(cluster, run);
        var steps = Read(record);
        var lost = LostSteps(generations, watch.LastOf());

        var (calm, calmRecord) = Submit(cluster, spec);
        using (var other = new StepsWatch(calmRecord))
        {
            for (var next = 0L; other.Steps < steps.Count; next = Math.Min(next + 100, steps.Count))
                Wait("the undisturbed run goes on", () => other.Steps >= next);
        }
        End(cluster, calm);
        var (held, parts, left) = (cluster.Held(), PartsLeft(), cluster.Stop());
        List<double> undisturbed = [.. Read(calmRecord).Select(Loss)];
        List<(double Loss, long Generation)> hurt = [.. steps.Select(step => (Loss(step), step.GetProperty("generation").GetInt64()))];
        var replay = Replay(record, "replay", [.. steps.Select(Ranks)]);
        var onTwo = Replay(record, "two", [.. steps.Select(_ => 2)]);
        var (twice, missing) = Count(steps);
        return new(method, seed, done, steps.Count, generations.Count, lost, twice, missing,
            ChaosDifference.Of(hurt, replay, allowed: 0, done), ChaosDifference.Of(hurt, undisturbed, Slight, done),
            onTwo.Zip(undisturbed, (one, other) => Math.Abs(one - other)).Max(),
            before, held, parts, left);
    }

    private IReadOnlyList<double> Replay(string record, string name, IReadOnlyList<int> ranks) => ChaosReplay.Losses(
        RunSpecYaml.Load(Path.Combine(Path.GetDirectoryName(record)!, "run.yaml"), []), Path.Combine(folder, name), ranks);

    private static ChaosHeld HeldAfterAShortRun(ChaosCluster cluster, string spec)
    {
        var (run, record) = Submit(cluster, spec);
        using (var watch = new StepsWatch(record)) Wait("it trains", () => watch.Steps > 5);
        End(cluster, run);
        return cluster.Held();
    }

    private int PartsLeft() => new DirectoryInfo(Path.Combine(folder, "output")).EnumerateFiles("*", SearchOption.AllDirectories)
        .Count(file => file.Extension is ".partial" or ".tmp");

    private ChaosFault Hurt(ChaosCluster cluster, string run, StepsWatch watch)
    {
        var kind = ((string[])["kill -9", "freeze", "drain", "late start"])[_random.Next(4)];
        var node = kind == "late start" ? "n4" : ChaosCluster.Nodes[_random.Next(ChaosCluster.Nodes.Count)];
        var before = Generation(Status(cluster, run));
        var (at, step, ranks) = (Stopwatch.GetTimestamp(), watch.Steps, 3);
        switch (kind)
        {
            case "kill -9":
                cluster.Signal(node, "KILL");
                break;
            case "freeze":
                var time = TimeSpan.FromSeconds(_random.Next(2, 25));
                kind = $"freeze {time.TotalSeconds:0} s";
                cluster.Signal(node, "STOP");
                Thread.Sleep(time);
                cluster.Signal(node, "CONT");
                break;
            case "drain":
                cluster.Phi3V("nodes", "drain", node);
                Settled(cluster, run, ranks: 2);
                cluster.Phi3V("nodes", "undrain", node);
                break;
            case "late start":
                cluster.StartLate();
                Settled(cluster, run, ranks: 4);
                cluster.StopLate();
                break;
        }
        if (kind == "kill -9") Wait("the run has lost a rank", () => Generation(Status(cluster, run)) > before);
        var isWell = Settled(cluster, run, ranks);
        var settled = (Stopwatch.GetElapsedTime(at) - Calm).TotalSeconds;
        var generations = Generation(Status(cluster, run)) - before;
        var (longest, _) = watch.GapsSince(at);
        return new(step, kind, node, generations, Math.Round(longest, 2), isWell ? Math.Round(settled, 1) : null);
    }

    /// <returns>False if so many ranks of one generation do not train for a while, and commit steps, in time.</returns>
    private static bool Settled(ChaosCluster cluster, string run, int ranks)
    {
        (long Generation, long Step)? first = null;
        var well = 0L;
        for (var since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since) < Patience; Thread.Sleep(Pause))
        {
            var status = Status(cluster, run);
            var (generation, step) = (Generation(status), status.GetProperty("step").GetInt64());
            if (status.GetProperty("phase").GetString() != "training" || status.GetProperty("world_size").GetInt32() != ranks) first = null;
            else if (first is null || first.Value.Generation != generation) (first, well) = ((generation, step), Stopwatch.GetTimestamp());
            else if (step > first.Value.Step && Stopwatch.GetElapsedTime(well) > Calm) return true;
        }
        return false;
    }

    /// <returns>Its generations' first steps.</returns>
    private static SortedDictionary<long, long> End(ChaosCluster cluster, string run)
    {
        var status = Status(cluster, run);
        cluster.Phi3V("cancel", run);
        Wait("the run ends", () => Status(cluster, run).GetProperty("state").GetString() == "cancelled");
        return new(status.GetProperty("generations").EnumerateArray()
            .ToDictionary(g => g.GetProperty("generation").GetInt64(), g => g.GetProperty("first_step").GetInt64()));
    }

    private static long LostSteps(SortedDictionary<long, long> firstSteps, IReadOnlyDictionary<long, long> lastSteps)
    {
        var (lost, reached) = (0L, 0L);
        foreach (var (generation, first) in firstSteps)
        {
            lost += Math.Max(0, reached - (first - 1));
            reached = lastSteps.TryGetValue(generation, out var last) ? last : first - 1;
        }
        return lost;
    }

    private static (int Twice, int Missing) Count(IReadOnlyList<JsonElement> steps)
    {
        var (twice, missing, newest) = (0, 0, steps[^1].GetProperty("epoch").GetInt32());
        foreach (var epoch in steps.GroupBy(step => step.GetProperty("epoch").GetInt32()))
        {
            var ids = epoch.SelectMany(step => step.GetProperty("sample_ids").EnumerateArray().Select(id => id.GetString())).ToList();
            twice += ids.Count - ids.Distinct().Count();
            if (epoch.Key < newest) missing += Pages - ids.Distinct().Count();
        }
        return (twice, missing);
    }

    private static (string Run, string Record) Submit(ChaosCluster cluster, string spec)
    {
        var submitted = cluster.Phi3V("submit", spec);
        return (submitted.GetProperty("run").GetString()!,
            Path.Combine(submitted.GetProperty("output").GetString()!, "steps.jsonl"));
    }

    /// <summary>Asked again for a while: the silo that was to answer may be the one that was hurt.</summary>
    private static JsonElement Status(ChaosCluster cluster, string run)
    {
        for (var since = Stopwatch.GetTimestamp(); ; Thread.Sleep(Pause))
        {
            if (cluster.Status(run) is { } status) return status;
            if (Stopwatch.GetElapsedTime(since) > Patience) throw new TimeoutException($"no silo told of {run} in {Patience}");
        }
    }

    private static long Generation(JsonElement status) => status.GetProperty("generation").GetInt64();

    private static int Ranks(JsonElement step) => step.GetProperty("world_size").GetInt32();

    private static double Loss(JsonElement step) => step.GetProperty("loss").GetDouble();

    private static List<JsonElement> Read(string record) =>
        [.. File.ReadLines(record).Select(line => JsonDocument.Parse(line).RootElement)];

    private static void Wait(string what, Func<bool> until)
    {
        for (var since = Stopwatch.GetTimestamp(); !until(); Thread.Sleep(Pause))
            if (Stopwatch.GetElapsedTime(since) > 5 * Patience) throw new TimeoutException($"not in {5 * Patience}: {what}");
    }

    /// <summary>
    /// Trains until somebody ends it, on whatever ranks there are; nothing is kept but in memory. The rate is low, for rounding grows: at
    /// ten times as much two runs of lora to which nothing happens, on two ranks and on three, are 2e-4 apart after 1,000 steps, 1e-2 after
    /// 2,000.
    /// </summary>
    private string WriteSpec()
    {
        var files = QuickstartFiles.Create(Path.Combine(folder, "files"), seed: 1, new(Pages, EvalPages: 4, TinySizes.Smallest));
        var path = Path.Combine(folder, "chaos.yaml");
        File.WriteAllText(path, $$"""
            name: chaos
            model: { path: {{files.Checkpoint}}, numCrops: 1 }
            method: { kind: {{method}} }
            data: { kind: conversations, train: {{files.Train}} }
            batch: { global: {{Batch}} }
            epochs: 1000000
            optimizer: { learningRate: 1.0e-5, warmupSteps: 1 }
            cluster: { minRanks: 1, maxRanks: 4, device: cpu, state: {{(method == "full" ? "sharded" : "auto")}} }
            checkpoint: { everySteps: 0 }
            output: {{Path.Combine(folder, "output")}}
            """);
        return path;
    }
}
