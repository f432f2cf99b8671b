namespace Phi3VCluster.Bench;

/// <summary>One measured number and, where another implementation does the same, its number beside it.</summary>
/// <param name="Case">What was done, e.g. "2 ranks, 64 MiB".</param>
/// <param name="Measured">Ours.</param>
/// <param name="Unit">Of both numbers. Units "per second" are better when larger, all others when smaller.</param>
internal sealed record BenchRow(string Case, double Measured, string Unit)
{
    /// <summary>The other implementation.</summary>
    public string? Peer { get; init; }
    public double? PeerMeasured { get; init; }
    /// <summary>What a reader must know about this row, e.g. why there is no peer.</summary>
    public string? Note { get; init; }

    /// <summary>How many times better than the peer; above 1, ours is.</summary>
    public double? Ratio => PeerMeasured is not { } peer ? null : LargerIsBetter ? Measured / peer : peer / Measured;

    private bool LargerIsBetter => Unit.EndsWith("/s", StringComparison.Ordinal);
}
