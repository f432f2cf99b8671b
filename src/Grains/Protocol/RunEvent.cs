using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>What can happen to a run. What comes from ranks carries the generation that it speaks of.</summary>
internal abstract record RunEvent
{
    private RunEvent() { } // closed: only the records below

    /// <param name="Places">By rank, from 0.</param>
    public sealed record Leased(IReadOnlyList<RankPlace> Places) : RunEvent;

    public sealed record Joined(long Generation, int Rank, string Address) : RunEvent;

    public sealed record Refused(long Generation, int Rank, IReadOnlyList<string> Problems) : RunEvent;

    /// <param name="Address">Of a prepared rank.</param>
    /// <param name="IsEcho">The error is that of a connection or a peer.</param>
    public sealed record Reported(
        long Generation, int Rank, ReportedPhase Phase, int Epoch, string? Error, string Address = "", bool IsEcho = false) : RunEvent;

    /// <summary>A rank cannot be reached, or says that its generation is over.</summary>
    public sealed record RankLost(long Generation, int Rank, string Reason) : RunEvent;

    /// <param name="Silo">Which of the node's silos: ranks on a later one are not meant.</param>
    public sealed record NodeLost(string Silo, string Reason) : RunEvent;

    /// <summary>The generation's timer for <paramref name="Kind"/> has run out.</summary>
    public sealed record TimedOut(long Generation, RunTimer Kind) : RunEvent;

    public sealed record CancelRequested : RunEvent;

    /// <summary>The coordinator starts anew from its stored state: commands may have been lost, so they are given again.</summary>
    public sealed record Reactivated : RunEvent;
}

internal enum RunTimer
{
    /// <summary>All ranks have to join before it runs out.</summary>
    Join,
    /// <summary>Ranks that have not joined when it runs out are asked again.</summary>
    AskAgain,
    /// <summary>All ranks have to stop before it runs out.</summary>
    Stop,
}
