namespace Phi3VCluster.Training.Engine;

/// <summary>Cuts a rank's share of a step into forward passes.</summary>
/// <param name="most">Samples of a pass; null fills passes up to <see cref="AutoTokens"/>.</param>
internal sealed class MicroBatches(int? most)
{
    /// <summary>
    /// Enough rows for full-speed matrix products; more would only need more memory. A longer sample is a pass by itself.
    /// </summary>
    public const int AutoTokens = 1024;

    /// <returns>For each pass, its place in the share and its length.</returns>
    public IReadOnlyList<(int Start, int Count)> Cut(IReadOnlyList<EncodedSample> share)
    {
        var passes = new List<(int Start, int Count)>();
        long tokens = 0;
        for (var i = 0; i < share.Count; i++)
        {
            var length = share[i].InputIds.Length;
            if (passes.Count > 0 && FitsIn(passes[^1].Count, tokens + length))
            {
                passes[^1] = (passes[^1].Start, passes[^1].Count + 1);
                tokens += length;
                continue;
            }
            passes.Add((i, 1));
            tokens = length;
        }
        return passes;
    }

    private bool FitsIn(int count, long tokens) => most is { } limit ? count < limit : tokens <= AutoTokens;
}
