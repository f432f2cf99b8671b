using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Grains.Runs;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>
/// The protocol between a run's coordinator and its seats, as a pure state machine: an event in, the new state and commands out. No clock,
/// no network, no storage. Seats park; parked seats make a generation; a generation ends by a fault, a loss, or at a boundary, and
/// those that
/// are left make the next. This is what is stored; what seats say of themselves is <see cref="Heard"/>; the rules are <see
/// cref="RunTurn"/>'s.
/// </summary>
internal sealed record Rendezvous
{
    private const int MostHistory = 100;

    /// <summary>One more with every change. Every command carries it.</summary>
    public long Version { get; init; }
    public required RunPhase Phase { get; init; }
    public required RankLimits Limits { get; init; }
    /// <summary>The newest that was formed; 0 before the first.</summary>
    public long Generation { get; init; }
    public ImmutableSortedDictionary<int, Seat> Seats { get; init; } = ImmutableSortedDictionary<int, Seat>.Empty;
    /// <summary>Above every seat that the run was ever given: a lower one that is not among its seats was given up.</summary>
    public int NextSeat { get; init; }
    /// <summary>Of the newest generation, by rank.</summary>
    public ImmutableArray<Member> Members { get; init; } = [];
    /// <summary>The rank whose state it began with.</summary>
    public int Source { get; init; }
    /// <summary>Where its ranks find the state that they begin with, if seats hold it in parts.</summary>
    public ShardSources? Shards { get; init; }
    /// <summary>Where it began.</summary>
    public Position Start { get; init; }
    public DateTimeOffset? BeganAt { get; init; }
    public Budget Budget { get; init; }
    public ImmutableSortedDictionary<int, LeftOut> LeftOut { get; init; } = ImmutableSortedDictionary<int, LeftOut>.Empty;
    /// <summary>Nodes that are to be left; true: soon.</summary>
    public ImmutableSortedDictionary<string, bool> Draining { get; init; } = ImmutableSortedDictionary<string, bool>.Empty;
    /// <summary>Seats that a run of higher priority is to have.</summary>
    public ImmutableSortedSet<int> Recalled { get; init; } = ImmutableSortedSet<int>.Empty;
    /// <summary>Silos on which a seat of the run could not start: more there would not either.</summary>
    public ImmutableSortedSet<string> Refusing { get; init; } = ImmutableSortedSet<string>.Empty;
    /// <summary>The newest generations, oldest first.</summary>
    public ImmutableList<FormedGeneration> History { get; init; } = ImmutableList<FormedGeneration>.Empty;

    public static Rendezvous New(RankLimits limits) => new() { Phase = new RunPhase.Queued(), Limits = limits };

    public Decision Apply(Heard heard, RunEvent happened, DateTimeOffset now, RunTimings timings)
    {
        var turn = new RunTurn(this, heard, now, timings);
        turn.Take(happened);
        return turn.Decide();
    }

    /// <summary>What the run gives back of a lease, and wants beside it.</summary>
    public RunNeeds NeedsOf(Lease lease, RunStatus? final) => new(
        final,
        [.. lease.Seats.Select(place => place.Seat).Where(seat => seat < NextSeat && !Seats.ContainsKey(seat))],
        Phase is RunPhase.Queued or RunPhase.Stopping || Phase.IsFinal
            ? 0
            : Math.Max(0, Limits.Max - Seats.Values.Count(seat => !IsWantedBack(seat))),
        Seats.Count < Limits.Min,
        [.. Refusing],
        NextSeat,
        HasYielded: Phase is RunPhase.Queued);

    public Rendezvous With(FormedGeneration formed) =>
        this with { History = (History.Count < MostHistory ? History : History.RemoveAt(0)).Add(formed) };

    /// <summary>The rank that a seat is in the newest generation; null if it is none.</summary>
    public int? RankOf(int seat)
    {
        for (var rank = 0; rank < Members.Length; rank++)
            if (Members[rank].Seat == seat) return rank;
        return null;
    }

    public bool IsLeftOut(int seat, DateTimeOffset now) => LeftOut.TryGetValue(seat, out var left) && left.Until > now;

    /// <summary>The run is to go on without it, if it can.</summary>
    public bool IsWantedBack(Seat seat) => Draining.ContainsKey(seat.Node) || Recalled.Contains(seat.Number);
}
