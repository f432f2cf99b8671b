using System.Text.RegularExpressions;

namespace Phi3VCluster.Grains;

/// <summary>Names of ours as people and machines read them.</summary>
internal static partial class Kebab
{
    /// <summary>EvaluatingAfter → evaluating-after.</summary>
    public static string Of(string pascal) => InnerCapital().Replace(pascal, "-$1").ToLowerInvariant();

    [GeneratedRegex("(?<!^)([A-Z])")]
    private static partial Regex InnerCapital();
}
