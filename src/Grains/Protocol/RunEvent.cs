using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>What can happen to a run.</summary>
internal abstract record RunEvent
{
    private RunEvent() { } // closed: only the records below

    /// <summary>What the cluster says each second: the run's seats, which silos are gone, which nodes are to be left.</summary>
    /// <param name="Yields">The run has too few seats, and another could do with them.</param>
    /// <param name="Recalled">Seats that a run of higher priority is to have.</param>
    public sealed record Tended(
        IReadOnlyList<SeatPlace> Seats, IReadOnlyList<LostSilo> Lost, IReadOnlyList<DrainingNode> Draining, bool Yields = false,
        IReadOnlySet<int>? Recalled = null) : RunEvent;

    /// <summary>Silos, with the seats on them, are gone. A node's later silo is not meant.</summary>
    public sealed record SilosLost(IReadOnlyList<LostSilo> Lost) : RunEvent;

    /// <summary>A node says where its seats are.</summary>
    /// <param name="Number">One more with each report of the silo.</param>
    public sealed record Reported(string Silo, long Number, IReadOnlyList<RankReport> Seats) : RunEvent;

    /// <summary>Time has passed: deadlines are looked at.</summary>
    public sealed record Tick : RunEvent;

    public sealed record CancelRequested : RunEvent;

    /// <summary>The coordinator starts anew from its stored state.</summary>
    public sealed record Reactivated : RunEvent;

    /// <summary>A run that has ended is wanted to go on.</summary>
    public sealed record Resumed(RankLimits Limits) : RunEvent;
}

/// <param name="Min">Ranks without which the run does not train.</param>
/// <param name="Max">Ranks beyond which it takes no more.</param>
internal sealed record RankLimits(int Min, int Max);
