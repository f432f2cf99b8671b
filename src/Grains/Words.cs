using System.Text.RegularExpressions;

namespace Phi3VCluster.Grains;

internal static partial class Words
{
    /// <summary>EvaluatingAfter → evaluating-after.</summary>
    public static string Kebab(string pascal) => InnerCapital().Replace(pascal, "-$1").ToLowerInvariant();

    [GeneratedRegex("(?<!^)([A-Z])")]
    private static partial Regex InnerCapital();
}
