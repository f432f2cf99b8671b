using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>What is known of a generation's end.</summary>
/// <param name="Why">In a few words: "n2 was lost".</param>
/// <param name="Faults">What seats said, of themselves and of each other.</param>
/// <param name="Edges">Connections that broke, from the seat that says so to the other.</param>
internal sealed record Breakup(BreakupKind Kind, string Why, ImmutableList<Fault> Faults, ImmutableList<Edge> Edges)
{
    public static Breakup Of(BreakupKind kind, string why) => new(kind, why, ImmutableList<Fault>.Empty, ImmutableList<Edge>.Empty);

    [JsonIgnore]
    public bool HasEcho => Faults.Exists(fault => fault.IsEcho);
}

/// <summary>What ended a generation; where several things did, the last in this order.</summary>
internal enum BreakupKind
{
    /// <summary>All left together after a committed step, as they were asked to.</summary>
    Boundary,
    /// <summary>A seat had opened another address before it heard of the generation: messages crossed.</summary>
    Missed,
    /// <summary>Connections broke, and nobody says more.</summary>
    Echo,
    /// <summary>A node fell silent, and the run goes on without it.</summary>
    Stall,
    /// <summary>A seat failed by itself.</summary>
    Fault,
    /// <summary>A silo is gone, or a seat did not park.</summary>
    Loss,
}

/// <summary>A connection between two seats.</summary>
/// <param name="IsSure">False where the other end may as well have left by itself.</param>
internal sealed record Edge(int From, int To, bool IsSure = true);

/// <summary>What the run may still do without getting anywhere. Whatever it gets done fills it up again.</summary>
/// <param name="Futile">Regroups in a row in which nobody was lost or left out.</param>
/// <param name="Losses">Regroups in a row after a loss.</param>
/// <param name="Missed">Regroups in a row because messages had crossed.</param>
internal readonly record struct Budget(int Futile, int Losses, int Missed);

/// <summary>What comes of a generation's end.</summary>
internal abstract record Verdict
{
    private Verdict() { } // closed: only the records below

    /// <param name="LeaveOut">A seat that the next generation is made without; null for none.</param>
    public sealed record Regroup(Budget Budget, int? LeaveOut) : Verdict;

    public sealed record End(ImmutableList<Fault> Faults) : Verdict;
}

/// <summary>Decides, on everything that was reported, whether a run whose generation has ended goes on, and without whom.</summary>
internal static class FailurePolicy
{
    private const int MostFutile = 3, MostLosses = 10, MostMissed = 10;

    /// <param name="hasProgressed">It got further than where it began.</param>
    /// <param name="survivors">Seats of it that are parked.</param>
    /// <param name="canSpareOne">Whether the others would be enough.</param>
    public static Verdict Decide(Breakup breakup, Budget budget, bool hasProgressed, int survivors, bool canSpareOne)
    {
        if (hasProgressed) budget = default;
        if (survivors == 0 && breakup.Faults.Exists(fault => !fault.IsEcho))
            return new Verdict.End(breakup.Faults); // all would meet it again
        if (breakup.Kind == BreakupKind.Boundary) return new Verdict.Regroup(budget, null);
        if (breakup.Kind == BreakupKind.Missed && budget.Missed < MostMissed)
            return new Verdict.Regroup(budget with { Missed = budget.Missed + 1 }, null);
        if (breakup.Kind >= BreakupKind.Stall)
        {
            budget = budget with { Losses = budget.Losses + 1, Futile = 0 };
            return budget.Losses <= MostLosses
                ? new Verdict.Regroup(budget, null)
                : new Verdict.End(breakup.Faults.Add(new("", $"{MostLosses} times in a row a seat was lost before a step was committed")));
        }
        // Where nobody can be spared, or the other end may just have left, a connection is tried again before anybody is left out for it.
        var bad = budget.Futile > 0 ? breakup.Edges : canSpareOne ? breakup.Edges.RemoveAll(edge => !edge.IsSure) : breakup.Edges.Clear();
        if (WorstEnd(bad) is { } worst)
            return new Verdict.Regroup(budget with { Futile = 0 }, worst);
        budget = budget with { Futile = budget.Futile + 1 };
        return budget.Futile < MostFutile
            ? new Verdict.Regroup(budget, null)
            : new Verdict.End([
                new("", $"{MostFutile} times in a row the run regrouped and committed no step; at last, {Fault.Fold(breakup.Faults)}")]);
    }

    /// <summary>The seat at which most connections broke; of two, the younger.</summary>
    private static int? WorstEnd(ImmutableList<Edge> edges)
    {
        if (edges.IsEmpty) return null;
        // Both ends tell of one broken connection: it counts once.
        var once = edges.Select(e => (Math.Min(e.From, e.To), Math.Max(e.From, e.To))).Distinct().ToList();
        return once.SelectMany(e => (int[])[e.Item1, e.Item2]).CountBy(seat => seat)
            .OrderByDescending(count => count.Value).ThenByDescending(count => count.Key).First().Key;
    }
}
