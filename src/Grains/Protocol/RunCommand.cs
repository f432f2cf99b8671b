using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>
/// What the coordinator has to do after an event, once the new state is stored. All of it is for the state's generation, and all of
/// it may be repeated without harm.
/// </summary>
internal abstract record RunCommand
{
    private RunCommand() { } // closed: only the records below

    public sealed record Prepare(RankPlace Place) : RunCommand;

    public sealed record Begin(RankPlace Place, ImmutableArray<string> Addresses) : RunCommand;

    public sealed record PassBarrier(RankPlace Place, int Epoch) : RunCommand;

    public sealed record Abort(RankPlace Place, string Reason) : RunCommand;

    public sealed record StartTimer(RunTimer Kind) : RunCommand;

    /// <summary>The run is over: give its ranks back to the cluster.</summary>
    public sealed record Release : RunCommand;

    /// <summary>A line for the run's log.</summary>
    public sealed record Log(string Text) : RunCommand;
}

/// <param name="State">The same object as before if nothing changed.</param>
/// <param name="Stale">The event speaks of something that is over; there are no commands.</param>
internal readonly record struct Decision(Rendezvous State, ImmutableArray<RunCommand> Commands, bool Stale = false);
