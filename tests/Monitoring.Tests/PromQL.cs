using System.Text.RegularExpressions;

namespace Phi3VCluster.Monitoring.Tests;

/// <summary>What these tests read of an expression; Prometheus alone parses it.</summary>
internal static partial class PromQL
{
    /// <summary>The metrics and recorded series of this project that an expression names.</summary>
    public static IEnumerable<string> Names(string expression) =>
        Name().Matches(Text().Replace(expression, "\"\"")).Select(match => match.Value).Distinct();

    [GeneratedRegex(@"\bphi3v[_:][a-zA-Z0-9_:]+")]
    private static partial Regex Name();

    [GeneratedRegex(@"""[^""]*""")]
    private static partial Regex Text();
}
