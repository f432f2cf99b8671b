using System.Collections.Immutable;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>One thing that ended a generation or a run, as it was heard of.</summary>
/// <param name="Who">The rank or seat and its node; empty where the text says it.</param>
/// <param name="IsEcho">Broke because a peer or a connection did.</param>
internal sealed record Fault(string Who, string Text, bool IsEcho = false)
{
    private const int MostCauses = 3;

    /// <summary>
    /// What the user reads. Ranks break in each other's wake and their reports race, so the first need not be the cause: causes come first,
    /// each once with all that say it, and of who only followed their number. Where nobody has a cause of its own, there are only echoes.
    /// </summary>
    public static string Fold(ImmutableList<Fault> faults)
    {
        var causes = faults.Where(fault => !fault.IsEcho).ToList();
        var lines = Lines(causes.Count > 0 ? causes : faults).ToList();
        var followers = causes.Count > 0 ? faults.Where(fault => fault.IsEcho).Select(fault => fault.Who).Distinct().Count() : 0;
        if (followers > 0) lines.Add($"{(followers == 1 ? "1 other rank" : $"{followers} other ranks")} stopped in the wake of that");
        return string.Join('\n', lines);
    }

    private static IEnumerable<string> Lines(IEnumerable<Fault> faults)
    {
        var texts = faults.GroupBy(fault => fault.Text).ToList();
        foreach (var same in texts.Take(MostCauses))
        {
            var who = same.Select(fault => fault.Who).Where(name => name.Length > 0).Distinct().ToList();
            yield return who.Count switch
            {
                0 => same.Key,
                1 => $"{who[0]}: {same.Key}",
                _ => $"{who[0]} and {(who.Count == 2 ? "1 other" : $"{who.Count - 1} others")}: {same.Key}",
            };
        }
        if (texts.Count > MostCauses) yield return $"and {texts.Count - MostCauses} more";
    }
}
