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
[JsonDerivedType(typeof(Stopping), "stopping")]
[JsonDerivedType(typeof(Done), "done")]
[JsonDerivedType(typeof(Failed), "failed")]
[JsonDerivedType(typeof(Cancelled), "cancelled")]
internal abstract record RunPhase
{
    private RunPhase() { } // closed: only the records below

    /// <summary>Has no ranks yet.</summary>
    public sealed record Queued : RunPhase;

    /// <param name="Addresses">Of the ranks that have joined, by rank.</param>
    public sealed record Gathering(ImmutableSortedDictionary<int, string> Addresses) : RunPhase;

    /// <param name="Addresses">Every rank's, by rank.</param>
    /// <param name="Waiting">Ranks at an epoch barrier, and the epoch.</param>
    /// <param name="PassedEpoch">Newest barrier that was passed; -1 before the first.</param>
    /// <param name="Finished">Ranks that have nothing left to do.</param>
    public sealed record Running(
        ImmutableSortedDictionary<int, string> Addresses,
        ImmutableSortedDictionary<int, int> Waiting,
        int PassedEpoch,
        ImmutableSortedSet<int> Finished) : RunPhase;

    /// <param name="Final">How the run ends: failed or cancelled.</param>
    /// <param name="Remaining">Ranks that were told to stop and have not said that they did.</param>
    /// <param name="Faults">What was heard of so far; none where the run was cancelled.</param>
    public sealed record Stopping(RunPhase Final, ImmutableSortedSet<int> Remaining, ImmutableList<Fault> Faults) : RunPhase;

    public sealed record Done : RunPhase;

    /// <param name="Error">What the user reads; a line for each rank that failed of itself.</param>
    public sealed record Failed(string Error) : RunPhase;

    public sealed record Cancelled : RunPhase;

    [JsonIgnore]
    public RunState State => this switch
    {
        Queued => RunState.Queued,
        Gathering or Running or Stopping => RunState.Running,
        Done => RunState.Done,
        Failed => RunState.Failed,
        Cancelled => RunState.Cancelled,
        _ => throw new UnreachableException(GetType().Name), // a new phase must decide here
    };

    [JsonIgnore]
    public bool IsFinal => this is Done or Failed or Cancelled;
}
