namespace Phi3VCluster.Spec;

/// <summary>Lists of problems that a person can read: one mistake in a file must not say itself once for each of its tensors.</summary>
public static class ProblemList
{
    /// <summary>Most lines of a list.</summary>
    public const int Most = 8;

    /// <param name="where">What the count of the others is said of.</param>
    /// <returns>All of them, or the first and how many more there are.</returns>
    public static IReadOnlyList<string> Short(IReadOnlyCollection<string> problems, string where) => problems.Count <= Most
        ? [.. problems]
        : [.. problems.Take(Most - 1), $"{where}: and {problems.Count - Most + 1} more like these."];
}
