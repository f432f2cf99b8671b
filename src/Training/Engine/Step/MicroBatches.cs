using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Engine;

/// <summary>Cuts a rank's share of a step into forward passes.</summary>
/// <param name="spec">Its most samples of a pass, or the tokens that it is filled up to.</param>
internal sealed class MicroBatches(BatchSpec spec)
{
    private readonly int _tokens = spec.MicroTokens ?? BatchSpec.CpuTokens;

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

    private bool FitsIn(int count, long tokens) => spec.Micro is { } most ? count < most : tokens <= _tokens;
}
