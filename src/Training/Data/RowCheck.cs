namespace Phi3VCluster.Training.Data;

/// <summary>What makes a row bad beyond its file's format. Data knows no model and decodes no image; who gives the check does.</summary>
/// <param name="Key">Equal for equal checks.</param>
/// <param name="Problems">Of a sample, each as "what is wrong; do this."; none for a good one. Called from several threads.</param>
public sealed record RowCheck(string Key, Func<Sample, IReadOnlyList<string>> Problems)
{
    /// <summary>
    /// Takes how many rows of how many have been looked at, from any thread; whoever waits for another's look is told too.
    /// </summary>
    public Action<int, int> Progress { get; init; } = (_, _) => { };
}
