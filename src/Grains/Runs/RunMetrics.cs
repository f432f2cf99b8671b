using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using Phi3VCluster.Grains.Protocol;
using Phi3VCluster.Training.Engine;
using static Phi3VCluster.Training.Engine.MetricKind;

namespace Phi3VCluster.Grains.Runs;

/// <summary>What coordinators tell Prometheus of their runs, each on the silo where it is; read from what they said last.</summary>
public static class RunMetrics
{
    private const int RunsOfAMeter = 200; // six causes each

    internal static readonly MetricDefinition State = new(
        "phi3v.run.state", Gauge, "", "1 for the state that the run is in: queued, gathering, running, parting or stopping.",
        MetricLabel.Run, MetricLabel.State);
    internal static readonly MetricDefinition Step = new(
        "phi3v.run.step", Gauge, "", "Last committed step that the coordinator has heard of.", MetricLabel.Run);
    internal static readonly MetricDefinition Steps = new("phi3v.run.steps", Gauge, "", "Steps that the run is to have.", MetricLabel.Run);
    internal static readonly MetricDefinition Seats = new(
        "phi3v.run.seats", Gauge, "", "Seats that the run has: ranks of its generation, and those that load or wait.", MetricLabel.Run);
    internal static readonly MetricDefinition ProgressTimestamp = new(
        "phi3v.run.progress_timestamp", Gauge, "s",
        "When the coordinator heard of the newest committed step, as Unix time; when the run got its seats where there is none.",
        MetricLabel.Run);
    internal static readonly MetricDefinition Recoveries = new(
        "phi3v.recoveries", Counter, "", "Generations that ended before their run did.", MetricLabel.Run, MetricLabel.Cause);
    internal static readonly MetricDefinition RendezvousTime = new(
        "phi3v.rendezvous", Histogram, "s", "From a generation's cause until all its seats were told to join.", MetricLabel.Run);
    internal static readonly MetricDefinition Ended = new(
        "phi3v.runs.ended", Counter, "", "Runs that came to an end.", MetricLabel.Outcome);

    private static readonly string[] Outcomes = ["done", "failed", "cancelled"];
    private static readonly string[] Causes = [.. Enum.GetNames<BreakupKind>().Select(Kebab.Of)];

    private static readonly ConcurrentDictionary<string, RunGauges> Runs = new();
    private static readonly ConcurrentDictionary<string, long> Ends = new(Outcomes.Select(outcome => KeyValuePair.Create(outcome, 0L)));
    private static readonly RenewedMeter Meter = new(Fill, RunsOfAMeter);
    private static Histogram<double>? _rendezvous;

    /// <summary>In the order of the documentation.</summary>
    public static IReadOnlyList<MetricDefinition> All { get; } =
        [State, Step, Steps, Seats, ProgressTimestamp, Recoveries, RendezvousTime, Ended];

    /// <summary>A run is coordinated here, and this is how it is.</summary>
    internal static void Tell(string run, StoredRun stored, DateTimeOffset now)
    {
        var (phase, progress) = (stored.Rendezvous.Phase, stored.Progress);
        if (phase.IsFinal)
        {
            Forget(run);
            return;
        }
        if (Runs.TryAdd(run, new())) Meter.AddOwner();
        Runs.AddOrUpdate(run, new RunGauges(), (_, before) => before with
        {
            State = phase.GetType().Name.ToLowerInvariant(),
            Step = progress.Step,
            Steps = progress.TotalSteps,
            Seats = stored.Rendezvous.Seats.Count,
            ProgressAt = progress.Step > before.Step ? now : before.ProgressAt ?? stored.StartedAt,
        });
    }

    /// <summary>It is coordinated elsewhere from now on, or has ended.</summary>
    internal static void Forget(string run) => Runs.TryRemove(run, out _);

    internal static void RendezvousEnded(string run, double seconds) =>
        _rendezvous?.Record(seconds, RendezvousTime.Of(seconds, run).Tags);

    internal static void GenerationEnded(string run, BreakupKind cause)
    {
        var name = Kebab.Of(cause.ToString());
        if (Runs.TryGetValue(run, out var reading))
            Runs[run] = reading with { Recoveries = reading.Recoveries.SetItem(name, reading.Recoveries[name] + 1) };
    }

    internal static void RunEnded(RunPhase how) =>
        Ends.AddOrUpdate(how.GetType().Name.ToLowerInvariant(), 1, (_, count) => count + 1);

    private static void Fill(Meter meter)
    {
        Each(State, run => run.Value.State is { Length: > 0 } state ? State.Of(1, run.Key, state) : null);
        Each(Step, run => Step.Of(run.Value.Step, run.Key));
        Each(Steps, run => run.Value.Steps > 0 ? Steps.Of(run.Value.Steps, run.Key) : null);
        Each(Seats, run => Seats.Of(run.Value.Seats, run.Key));
        Each(ProgressTimestamp, run =>
            run.Value.ProgressAt is { } at ? ProgressTimestamp.Of(at.ToUnixTimeMilliseconds() / 1e3, run.Key) : null);
        Recoveries.Observe(meter, () =>
            [.. Runs.SelectMany(run => run.Value.Recoveries.Select(cause => Recoveries.Of(cause.Value, run.Key, cause.Key)))]);
        _rendezvous = RendezvousTime.Record(meter, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100);
        Ended.Observe(meter, () => [.. Ends.Select(outcome => Ended.Of(outcome.Value, outcome.Key))]);

        void Each(MetricDefinition metric, Func<KeyValuePair<string, RunGauges>, Measurement<double>?> read) =>
            metric.Observe(meter, () => [.. Runs.Select(read).OfType<Measurement<double>>()]);
    }

    private sealed record RunGauges
    {
        public string State { get; init; } = "";
        public long Step { get; init; }
        public long Steps { get; init; }
        public int Seats { get; init; }
        public DateTimeOffset? ProgressAt { get; init; }
        /// <summary>Since it is coordinated here, each from 0 on: the rate of a counter that is new is not known.</summary>
        public ImmutableSortedDictionary<string, long> Recoveries { get; init; } =
            Causes.ToImmutableSortedDictionary(cause => cause, _ => 0L, StringComparer.Ordinal);
    }
}
