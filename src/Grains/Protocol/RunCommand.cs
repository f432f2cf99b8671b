using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>
/// What the coordinator has to do after an event, once the new state is stored. All of it carries the state's version, and all of it may
/// be repeated without harm.
/// </summary>
internal abstract record RunCommand
{
    private RunCommand() { } // closed: only the records below

    /// <summary>An order for a seat.</summary>
    public abstract record ToSeat(Seat Seat) : RunCommand;

    public sealed record Take(Seat Seat) : ToSeat(Seat);

    /// <param name="Addresses">Every rank's, by rank.</param>
    /// <param name="Shards">Where all find a state that seats hold in parts.</param>
    public sealed record Join(
        Seat Seat, long Generation, int Rank, IReadOnlyList<string> Addresses, int Source, string Cause, ShardSources? Shards)
        : ToSeat(Seat);

    public sealed record Part(Seat Seat, long Generation) : ToSeat(Seat);

    public sealed record Break(Seat Seat, long Generation, string Reason) : ToSeat(Seat);

    public sealed record Keep(Seat Seat) : ToSeat(Seat);

    public sealed record Leave(Seat Seat, string Reason) : ToSeat(Seat);

    /// <summary>The run is over: its seats are the cluster's again.</summary>
    public sealed record Release : RunCommand;

    /// <summary>A line for the run's log.</summary>
    public sealed record Log(string Text) : RunCommand;

    /// <summary>A generation ended and the run goes on, for the counter of recoveries.</summary>
    public sealed record CountRecovery(BreakupKind Cause) : RunCommand;
}

/// <param name="State">The same object as before if nothing is to be stored.</param>
/// <param name="Stale">Seats in a report that the run does not have.</param>
internal readonly record struct Decision(
    Rendezvous State, Heard Heard, ImmutableArray<RunCommand> Commands, ImmutableArray<int> Stale);
