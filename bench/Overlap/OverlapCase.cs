namespace Phi3VCluster.Bench.Overlap;

/// <param name="IsBeside">Sums set out while backward goes on; otherwise when it is over.</param>
internal sealed record OverlapCase(string Method, string GradientType, bool IsBeside)
{
    public string Label => $"{Method}, {GradientType}";
}
