using System.Diagnostics;
using System.Text.Json;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Snapshots;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Snapshots of a sharded state while a generation trains: every few steps each rank copies its part to host memory, beside the next step
/// until that writes it, and has it brought to its buddy on another node. One counts when all ranks' parts are with both, which the ranks
/// tell each other in the tally of a step; the next is begun only then. So whatever node is lost, the newest that counts is there.
/// </summary>
internal sealed class GenerationSnapshots
{
    private const int CopiesHeld = 7; // own: two snapshots, what it parked with, and the next generation's first; a buddy's: three
    private const int MeasuredSteps = 3;
    private const double CopiesWorth = 8; // a copy's time is worth so many times of training
    private const double WaitsWorth = 50; // what the rank's thread waits for itself

    private readonly RunHome _home;
    private readonly ICollective _collective;
    private readonly string? _buddy;
    private StateVersion? _newest;
    private bool _counts; // the newest does
    private int _everySteps = 1, _measured;
    private double _waitSeconds, _stepSeconds = double.MaxValue;

    /// <summary>All ranks together: they find out who is where, and whether there is room.</summary>
    public GenerationSnapshots(RunHome home, ICollective collective, long ownElements)
    {
        (_home, _collective) = (home, collective);
        if (home.Shards is not { } shards) return;
        var bytes = CopiesHeld * ShardMemory.Parts * sizeof(float) * ownElements;
        var all = RankMessages.Exchange(collective, JsonSerializer.SerializeToUtf8Bytes(
            new Presence(home.Metrics.Node, shards.Address, bytes, HostMemory.Available + shards.Bytes)))
            .Select(one => JsonSerializer.Deserialize<Presence>(one)!).ToList();
        var scarce = all.GroupBy(one => one.Node).FirstOrDefault(node => node.Sum(one => one.Bytes) > node.Min(one => one.Available) / 2);
        shards.IsUsed = scarce is null;
        if (scarce is not null)
        {
            Note = $"{scarce.Key} has no room in its memory for snapshots of the state, which take "
                + $"{MachineFit.Gigabytes(scarce.Sum(one => one.Bytes))} there: "
                + "the run goes back to its last checkpoint if it loses a rank";
        }
        else if (Buddies.Of([.. all.Select(one => one.Node)])[collective.Rank] is { } buddy) _buddy = all[buddy].Courier;
    }

    /// <summary>A sentence for the run's log where there is something to know; null where there is not.</summary>
    public string? Note { get; }

    /// <summary>For the tally: the newest snapshot of this rank's part is with its buddy as well.</summary>
    public bool IsStored => _newest is not null && _home.Shards!.Stored == _newest;

    /// <summary>Before a generation's first step.</summary>
    public void Begin()
    {
        if (_newest is null) Take();
    }

    /// <summary>After a committed step, by all ranks together.</summary>
    /// <param name="stored">Ranks that said so in the step's tally.</param>
    /// <returns>What the run should say, if anything.</returns>
    public string? StepCommitted(int stored, double seconds)
    {
        if (_buddy is null) return null;
        var news = Measure(seconds);
        if (!_counts && stored == _collective.WorldSize)
        {
            _counts = true;
            _home.Shards!.Counted(_newest!.Value);
        }
        var isLast = _home.State.Position.Stage == TrainingStage.Export;
        if (_counts && (isLast || _home.State.Position.Step >= _newest!.Value.Step + _everySteps)) Take();
        return news;
    }

    private void Take()
    {
        if (_buddy is null) return;
        var before = _home.Clock.Enter(Phase.Snapshot);
        var began = Stopwatch.GetTimestamp();
        (_newest, _counts) = (_home.Shards!.Hold(_home.State, _buddy), false);
        _waitSeconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        _home.Clock.Enter(before);
    }

    /// <summary>How often, once it is known what a copy and a step take: so that the copies cost little, alike on all ranks.</summary>
    private string? Measure(double seconds)
    {
        if (_measured == MeasuredSteps) return null;
        _stepSeconds = Math.Min(_stepSeconds, seconds);
        if (++_measured < MeasuredSteps) return null;
        var least = Math.Max(CopiesWorth * _home.Shards!.CopySeconds, WaitsWorth * _waitSeconds);
        var steps = Math.Ceiling(least / Math.Max(_stepSeconds, 1e-6));
        _everySteps = Math.Max(1, RankMessages.Largest(_collective, (int)Math.Min(steps, int.MaxValue)));
        return _everySteps == 1
            ? null
            : $"a snapshot of the state is taken every {_everySteps} steps, for its copy takes long beside a step";
    }

    /// <param name="Bytes">That its copies and its buddies' take, where all are alike.</param>
    /// <param name="Available">On its machine.</param>
    private sealed record Presence(string Node, string Courier, long Bytes, long Available);
}
