using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>What the seats said of themselves. Not stored: they say it again each second.</summary>
/// <param name="Since">When the coordinator began to listen.</param>
/// <param name="Reports">Number of each silo's newest report.</param>
/// <param name="TakeAgainAt">When seats that were not heard are told again that they are taken.</param>
internal sealed record Heard(
    DateTimeOffset Since, ImmutableDictionary<int, SeatNews> Seats, ImmutableDictionary<string, long> Reports, StallWatch Stall,
    DateTimeOffset TakeAgainAt)
{
    public static Heard Nothing(DateTimeOffset now) =>
        new(now, ImmutableDictionary<int, SeatNews>.Empty, ImmutableDictionary<string, long>.Empty, StallWatch.From(now), now);

    /// <summary>Whether a newer report of the silo, or the same, was heard before.</summary>
    public bool IsLate(string silo, long number) => Reports.TryGetValue(silo, out var newest) && number <= newest;

    public SeatNews? Of(int seat) => Seats.GetValueOrDefault(seat);

    /// <summary>A seat works in a generation that is over.</summary>
    public Heard Straying(int seat, DateTimeOffset now) => Of(seat) is { StraysSince: null } news
        ? this with { Seats = Seats.SetItem(seat, news with { StraysSince = now }) }
        : this;

    public bool IsParked(int seat) => Of(seat) is { Report: { Phase: ReportedPhase.Parked, Offer: not null } };
}

/// <summary>A seat's newest report.</summary>
/// <param name="ChangedAt">Since when it says the same, as far as that shows whether it gets on.</param>
/// <param name="StraysSince">Since when it is told to leave a generation that is over, and does not.</param>
/// <param name="IsNamed">Whether the run's log says that the others wait for it where it is.</param>
internal sealed record SeatNews(
    RankReport Report, DateTimeOffset ChangedAt, DateTimeOffset? StraysSince = null, bool IsNamed = false)
{
    public static SeatNews Of(RankReport report, SeatNews? before, DateTimeOffset now)
    {
        if (before is null) return new(report, now);
        var strays = before.Report.Generation == report.Generation && report.Phase != ReportedPhase.Parked;
        var isStill = GetsNowhere(before.Report, report);
        return new(report, isStill ? before.ChangedAt : now, strays ? before.StraysSince : null, isStill && before.IsNamed);
    }

    private static bool GetsNowhere(RankReport before, RankReport now) =>
        (before.Phase, before.Generation, before.Part, before.Step, before.Entered)
            == (now.Phase, now.Generation, now.Part, now.Step, now.Entered);
}
