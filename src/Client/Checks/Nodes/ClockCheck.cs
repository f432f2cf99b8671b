using System.Diagnostics;
using Phi3VCluster.Client.Cluster;

namespace Phi3VCluster.Client.Checks.Nodes;

/// <summary>A node's clock beside this program's, with the way there and back taken out.</summary>
/// <param name="Ahead">Seconds; below zero where it is behind.</param>
/// <param name="Unsure">Seconds: half of the shortest way there and back, for nobody knows how it was divided.</param>
internal sealed record ClockReading(double Ahead, double Unsure)
{
    private const int Readings = 5;

    // Read once: this machine's own clock may be set while it is compared.
    private static readonly (DateTimeOffset Time, long Stamp) Zero = (DateTimeOffset.UtcNow, Stopwatch.GetTimestamp());

    /// <returns>The reading of the shortest way; null where the node does not answer.</returns>
    public static async Task<ClockReading?> OfAsync(NodeCalls node, CancellationToken interrupted)
    {
        var best = default(ClockReading);
        for (var i = 0; i < Readings; i++)
            if (await node.AskAsync(async grain => await OnceAsync(grain.ClockAsync), interrupted) is not { } reading) return null;
            else if (best is null || reading.Unsure < best.Unsure) best = reading;
        return best;
    }

    private static async Task<ClockReading> OnceAsync(Func<Task<DateTimeOffset>> ask)
    {
        var asked = Stopwatch.GetTimestamp();
        var told = await ask();
        var half = Stopwatch.GetElapsedTime(asked) / 2;
        return new((told - (Zero.Time + Stopwatch.GetElapsedTime(Zero.Stamp, asked) + half)).TotalSeconds, half.TotalSeconds);
    }
}

/// <summary>Whether the nodes' clocks agree.</summary>
internal static class ClockCheck
{
    /// <summary>
    /// Seconds between any two. Silos renew a sign of life in their store every 5 s by their own clocks, and take one that is 15 s old for
    /// stale: at 10 s between two clocks that is each one's, and this is half of it.
    /// </summary>
    public const double Most = 5;

    /// <returns>Null of a single node.</returns>
    public static CheckRow? Row(IReadOnlyList<(string Node, ClockReading Clock)> read)
    {
        if (read.Count < 2) return null;
        var ordered = read.OrderBy(one => one.Clock.Ahead).ToArray();
        var apart = ordered[^1].Clock.Ahead - ordered[0].Clock.Ahead;
        var unsure = read.Select(one => one.Clock.Unsure).OrderDescending().Take(2).Sum();
        var isGood = apart <= Most;
        return new("nodes' clocks", isGood, isGood
            ? $"at most {apart:0.000} s apart (± {unsure:0.000} s)"
            : $"{Wrong(ordered)} (± {unsure:0.000} s), {Most} s is the most: at 10 s silos take each other's signs of life for stale; "
                + "set all clocks by the same time server");
    }

    private static string Wrong((string Node, ClockReading Clock)[] ordered)
    {
        var usual = ordered[(ordered.Length - 1) / 2]; // of two, the one that is behind
        var others = ordered.Length == 2 ? usual.Node : "most nodes";
        var by = ordered.Select(one => (one.Node, By: one.Clock.Ahead - usual.Clock.Ahead));
        return string.Join(", ", by.Where(one => Math.Abs(one.By) > Most / 2).Select(
            one => $"{one.Node} is {Math.Abs(one.By):0.0} s {(one.By > 0 ? "ahead of" : "behind")} {others}"));
    }
}
