using System.Collections.Immutable;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>
/// Whether the run stands still because a node does not answer. While steps are committed nobody is suspected: a node may be slow to
/// report, and its ranks compute all the same.
/// </summary>
/// <param name="Step">The newest that was heard of.</param>
/// <param name="Slowest">Of the newest steps, how long each took.</param>
/// <param name="Nodes">When each node last reported.</param>
/// <param name="LookedAt">When it was last asked or told anything: a coordinator that stood still itself must not blame others.</param>
internal sealed record StallWatch(
    long Step, DateTimeOffset CommittedAt, ImmutableQueue<TimeSpan> Slowest, ImmutableDictionary<string, DateTimeOffset> Nodes,
    DateTimeOffset LookedAt)
{
    private static readonly TimeSpan ReportPeriod = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan PatienceBeforeSteps = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan OwnPause = TimeSpan.FromSeconds(2);
    private const int StepsLookedAt = 20;

    public static StallWatch From(DateTimeOffset now) =>
        new(-1, now, ImmutableQueue<TimeSpan>.Empty, ImmutableDictionary<string, DateTimeOffset>.Empty, now);

    /// <summary>A generation begins: what the last one's steps took says nothing of it.</summary>
    public StallWatch Begin(IEnumerable<string> nodes, DateTimeOffset now) =>
        From(now) with { Nodes = nodes.Distinct().ToImmutableDictionary(node => node, _ => now) };

    public StallWatch Hear(string node, long step, DateTimeOffset now)
    {
        var heard = Look(now) with { Nodes = Nodes.SetItem(node, now) };
        if (step <= Step) return heard;
        if (Step < 0) return heard with { Step = step, CommittedAt = now }; // where it began
        var took = Slowest.Enqueue(now - CommittedAt);
        return heard with { Step = step, CommittedAt = now, Slowest = took.Count() > StepsLookedAt ? took.Dequeue() : took };
    }

    /// <summary>To be called often. After a pause of its own the clocks of all others start anew.</summary>
    public StallWatch Look(DateTimeOffset now) => now - LookedAt < OwnPause
        ? this with { LookedAt = now }
        : this with { LookedAt = now, CommittedAt = now, Nodes = Nodes.ToImmutableDictionary(node => node.Key, _ => now) };

    /// <summary>
    /// Ranks whose nodes are heard, and who do not come back from what they do: the others have entered an operation that these have not,
    /// and for long nothing of what they report has changed.
    /// </summary>
    /// <param name="members">All of the generation.</param>
    /// <param name="share">Of the time after which a rank is held to hang.</param>
    public IReadOnlyList<int> Hanging(IReadOnlyList<SeatNews> members, TimeSpan patience, DateTimeOffset now, double share = 1)
    {
        if (members.Count == 0) return [];
        var most = members.Max(news => news.Report.Entered);
        return
        [
            .. from news in members
               where news.Report.Entered < most
               where IsStill(news, patience, now, share)
               select news.Report.Seat,
        ];
    }

    /// <summary>
    /// Whether all ranks stand still though none is behind: one hangs in what all have entered, and which shows when they are to part. As
    /// all may as well compute for long, there is more patience than with one that the others wait for.
    /// </summary>
    /// <param name="members">All of the generation.</param>
    /// <param name="patience">After which a rank is held to hang.</param>
    public bool IsStuck(IReadOnlyList<SeatNews> members, TimeSpan patience, DateTimeOffset now) =>
        members.Count > 1 && members.All(news => IsStill(news, patience, now, share: 5));

    private bool IsStill(SeatNews news, TimeSpan patience, DateTimeOffset now, double share)
    {
        TimeSpan? own = news.Report.Phase switch
        {
            ReportedPhase.Training when Slowest.IsEmpty => 5 * patience, // the first step makes kernels, and finds out what fits
            ReportedPhase.Training => 4 * Slowest.Max() > patience ? 4 * Slowest.Max() : patience,
            ReportedPhase.EvaluatingBefore or ReportedPhase.EvaluatingAfter or ReportedPhase.Exporting => 5 * patience,
            _ => null,
        };
        return own is not null && now - CommittedAt > share * own && now - news.ChangedAt > share * own;
    }

    /// <summary>Nodes that the run should go on without.</summary>
    public IReadOnlyList<string> Suspects(DateTimeOffset now)
    {
        var patience = Slowest.IsEmpty ? PatienceBeforeSteps : Patience;
        if (now - CommittedAt <= patience + (Slowest.IsEmpty ? TimeSpan.Zero : Slowest.Max())) return [];
        List<string> silent = [.. Nodes.Where(node => now - node.Value > ReportPeriod + patience).Select(node => node.Key)];
        return silent.Count < Nodes.Count ? [.. silent.Order(StringComparer.Ordinal)] : []; // if nobody is heard, it may be this side
    }
}
