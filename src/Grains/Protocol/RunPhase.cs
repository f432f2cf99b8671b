using System.Collections.Immutable;
using System.Diagnostics;
using System.Text.Json.Serialization;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>Where a run is, as its coordinator sees it. Each phase carries what only it needs.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "phase")]
[JsonDerivedType(typeof(Queued), "queued")]
[JsonDerivedType(typeof(Gathering), "gathering")]
[JsonDerivedType(typeof(Running), "running")]
[JsonDerivedType(typeof(Parting), "parting")]
[JsonDerivedType(typeof(Stopping), "stopping")]
[JsonDerivedType(typeof(Done), "done")]
[JsonDerivedType(typeof(Failed), "failed")]
[JsonDerivedType(typeof(Cancelled), "cancelled")]
internal abstract record RunPhase
{
    private RunPhase() { } // closed: only the records below

    /// <summary>Has no seats yet.</summary>
    public sealed record Queued : RunPhase;

    /// <summary>Waits for seats to park, to make the next generation of them.</summary>
    /// <param name="Why">What ended the last one; what the first is called.</param>
    /// <param name="IsFirst">No generation was formed since the run got seats: it waits for all of them.</param>
    /// <param name="Since">When the last one's end began.</param>
    /// <param name="OpenedAt">When all that were left of it had parked.</param>
    /// <param name="Refusals">Of seats that could not be had, while it is the first.</param>
    public sealed record Gathering(
        string Why, bool IsFirst, DateTimeOffset Since, DateTimeOffset OpenedAt, ImmutableList<Fault> Refusals) : RunPhase;

    /// <param name="Boundary">Why all should part after the next committed step; empty if they should not.</param>
    /// <param name="AskedAt">When the first of them was heard of.</param>
    public sealed record Running(ImmutableSortedSet<string> Boundary, DateTimeOffset? AskedAt) : RunPhase
    {
        public static Running Plain { get; } = new(ImmutableSortedSet<string>.Empty, null);
    }

    /// <summary>A generation ends, and its seats stay.</summary>
    /// <param name="Remaining">Seats that have not parked.</param>
    /// <param name="Breakup">What is known of its end.</param>
    /// <param name="IsBroken">The remaining were told to break off; otherwise they part by themselves.</param>
    /// <param name="Deadline">Whoever has not broken off by then is lost; whoever has not parted is told to break off.</param>
    public sealed record Parting(
        ImmutableSortedSet<int> Remaining, Breakup Breakup, bool IsBroken, DateTimeOffset Since, DateTimeOffset Deadline) : RunPhase;

    /// <param name="Final">How the run ends: failed or cancelled.</param>
    /// <param name="Faults">What was heard of so far; none where the run was cancelled.</param>
    /// <param name="Deadline">Nobody is waited for any longer.</param>
    public sealed record Stopping(RunPhase Final, ImmutableList<Fault> Faults, DateTimeOffset Deadline) : RunPhase;

    public sealed record Done : RunPhase;

    /// <param name="Error">What the user reads; a line for each seat that failed of itself.</param>
    public sealed record Failed(string Error) : RunPhase;

    public sealed record Cancelled : RunPhase;

    [JsonIgnore]
    public RunState State => this switch
    {
        Queued => RunState.Queued,
        Gathering or Running or Parting or Stopping => RunState.Running,
        Done => RunState.Done,
        Failed => RunState.Failed,
        Cancelled => RunState.Cancelled,
        _ => throw new UnreachableException(GetType().Name), // a new phase must decide here
    };

    [JsonIgnore]
    public bool IsFinal => this is Done or Failed or Cancelled;
}
