using System.Collections.Immutable;
using System.Globalization;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Runs;

/// <summary>The newest lines of a run's log.</summary>
/// <param name="First">Number of the oldest line that is left, from 0.</param>
internal sealed record RunLog(long First, ImmutableList<string> Lines)
{
    private const int MostLines = 1000;

    public static RunLog Empty { get; } = new(0, ImmutableList<string>.Empty);

    public RunLog Add(DateTimeOffset at, string text)
    {
        var lines = Lines.Add($"{at.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture)} {text}");
        var surplus = Math.Max(0, lines.Count - MostLines);
        return new(First + surplus, lines.RemoveRange(0, surplus));
    }

    public LogPage From(long line)
    {
        var first = Math.Clamp(line, First, First + Lines.Count);
        return new(first, [.. Lines.Skip((int)(first - First))], First + Lines.Count);
    }
}
