using System.Collections.Concurrent;
using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>A run in this process, without grains: the test plays the coordinator.</summary>
internal sealed class LocalRun : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    private readonly RankWorkers _workers;
    private readonly BlockingCollection<bool> _changed = [];
    private readonly string _run, _spec;
    private readonly Func<int, string> _output;
    private readonly long _since = Environment.TickCount64;
    private long _version;
    private int _seats;

    public LocalRun(RunSpec spec, string output, int most = 8)
        : this(spec, _ => output, most)
    {
    }

    /// <param name="output">By seat: where they differ, seats see other disks.</param>
    public LocalRun(RunSpec spec, Func<int, string> output, int most = 8)
    {
        (_run, _output, _spec) = (Path.GetFileName(output(0)), output, RunSpecJson.ToText(spec));
        _workers = new(most);
        _workers.ReportSoon += () => _changed.Add(true);
    }

    /// <summary>The seats, by number.</summary>
    public IReadOnlyList<RankProgress> Progress => [.. _workers.Progress().OrderBy(p => p.Id.Seat)];

    public IReadOnlyList<SeatId> Occupied => _workers.Occupied();

    public long Generation { get; private set; }

    /// <summary>While it waits, the test answers the seats' reports; seats that nobody ever answered expect no answer.</summary>
    public bool Answers { get; set; }

    /// <param name="abortsTheRest">False lets every rank come to an end of its own after one has failed.</param>
    /// <returns>Each rank's last progress, by rank.</returns>
    public static IReadOnlyList<RankProgress> Train(RunSpec spec, int worldSize, string output, bool abortsTheRest = true)
    {
        using var run = new LocalRun(spec, output, worldSize);
        run.Take(worldSize);
        run.Until("all are ready", p => p.Phase is RankPhase.Parked || HasEnded(p));
        if (run.Progress.Any(HasEnded))
        {
            if (abortsTheRest) run.LeaveAll("a seat failed");
            return abortsTheRest ? run.Until("all end", HasEnded) : run.Progress;
        }
        run.Join();
        while (true)
        {
            var progress = run.Progress;
            if (progress.All(p => HasEnded(p) || p.Phase is RankPhase.Finished or RankPhase.Parked)) return progress;
            if (abortsTheRest && progress.Any(p => p.Phase == RankPhase.Failed)) run.LeaveAll("a rank failed");
            run.Wait("no rank came to its end");
        }
    }

    public static IReadOnlyList<JsonElement> Steps(string output) =>
        [.. File.ReadLines(Path.Combine(output, "steps.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)];

    /// <summary>Takes more seats.</summary>
    public void Take(int count)
    {
        for (var i = 0; i < count; i++)
            Assert.True(_workers.Take(new(_run, _seats), ++_version, new SeatOrder(_spec, "tcp", _output(_seats++))));
    }

    /// <summary>All parked seats form the next generation; the best state is the source, whole or in parts.</summary>
    /// <param name="joins">So many of them hear of it.</param>
    /// <param name="leaving">A seat that is not in it, and gives what it has.</param>
    public void Join(string cause = "", int joins = int.MaxValue, int? leaving = null)
    {
        var givers = Progress.Where(p => p.Phase == RankPhase.Parked).ToList();
        var parked = givers.Where(p => p.Id.Seat != leaving).ToList();
        var shards = PlanOf([.. givers.Select(p => p.Offer!)]);
        if (shards is not null && parked.Max(p => p.Offer!.Step) > shards.Version.Step) shards = null;
        Generation = Math.Max(Generation, parked.Max(p => p.Offer!.Generation)) + 1;
        var source = parked.MaxBy(p => (p.Offer!.Step, p.Offer.Stage, p.Offer.IsLive))!;
        string[] addresses = [.. parked.Select(p => p.Offer!.Address)];
        for (var rank = 0; rank < Math.Min(parked.Count, joins); rank++)
        {
            var assignment = new Assignment(Generation, rank, addresses, parked.IndexOf(source), cause, shards);
            Assert.True(_workers.Join(parked[rank].Id, ++_version, assignment));
        }
    }

    /// <summary>The newest version of a sharded state whose every part somebody holds.</summary>
    private static ShardPlan? PlanOf(IReadOnlyList<Offer> offers)
    {
        var newest = offers.SelectMany(offer => (offer.Held ?? []).Select(held => (offer.Courier, Held: held)))
            .GroupBy(one => one.Held.Version)
            .Where(version => version.SelectMany(one => one.Held.Ranks).Distinct().Count() == version.First().Held.WorldSize)
            .MaxBy(version => (version.Key.Step, version.Key.Generation));
        return newest is null ? null : new(newest.Key, newest.First().Held.WorldSize, newest.MaxBy(one => one.Held.Stage).Courier,
            [.. newest.SelectMany(one => one.Held.Ranks.Select(rank => new ShardHolder(rank, one.Courier)))]);
    }

    public void Part(int seat) => Assert.True(_workers.Part(new(_run, seat), ++_version, Generation));

    public void Break(int seat) => Assert.True(_workers.Break(new(_run, seat), ++_version, Generation, "the test's will"));

    /// <summary>As <see cref="Break"/>, unless it has parked by itself.</summary>
    public void TryBreak(int seat) => _workers.Break(new(_run, seat), ++_version, Generation, "the test's will");

    public void Leave(int seat, string reason = "the test's will") => Assert.True(_workers.Leave(new(_run, seat), ++_version, reason));

    public void Forget(int seat) => _workers.Forget(new(_run, seat));

    public void LeaveAll(string reason)
    {
        foreach (var seat in Progress.Where(p => !HasEnded(p))) _workers.Leave(seat.Id, ++_version, reason);
    }

    public IReadOnlyList<RankProgress> Until(string what, Func<RankProgress, bool> all)
    {
        while (true)
        {
            var progress = Progress;
            if (progress.All(all)) return progress;
            Wait($"never happened: {what}");
        }
    }

    public void UntilAny(string what, Func<RankProgress, bool> any)
    {
        while (!Progress.Any(any)) Wait($"never happened: {what}");
    }

    public void Dispose() => _workers.Dispose();

    private static bool HasEnded(RankProgress p) => p.Phase is RankPhase.Failed or RankPhase.Stopped;

    /// <summary>For the next report, or a little: what happens within a phase is told by nobody.</summary>
    private void Wait(string problem)
    {
        if (Answers) foreach (var seat in Progress) _workers.Answered(seat.Id);
        _changed.TryTake(out _, TimeSpan.FromMilliseconds(20));
        if (Environment.TickCount64 - _since > Deadline.TotalMilliseconds)
            throw new TimeoutException($"{problem}: {string.Join("; ", Progress)}");
    }
}
