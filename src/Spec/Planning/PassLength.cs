namespace Phi3VCluster.Spec.Planning;

/// <summary>
/// What <c>batch.microTokens: auto</c> comes to on a GPU: as many letter pages in a pass as fit a rank's memory, by the arithmetic of
/// <see cref="MemoryEstimate"/>, up to a length from which on longer passes are no faster. It changes nothing of what is learned, so that
/// ranks may come to different ends.
/// </summary>
public static class PassLength
{
    /// <summary>
    /// A host needs as long to start a short pass as a long one, 125 ms beside an H100 (docs/speed.md), in which that card computes some
    /// 2,000 tokens: with four times as many it never waits.
    /// </summary>
    private const double MostTokens = 8192;
    /// <summary>A pass is made longer only while this part of the memory holds it.</summary>
    private const double MemoryPart = 0.9;

    /// <param name="spec">With what <c>activationCheckpointing: auto</c> comes to: no pass is worth computing anything twice.</param>
    /// <inheritdoc cref="RecomputeChoice.Resolve"/>
    public static RunSpec OnGpu(RunSpec spec, ModelSizes model, int ranks, double memory, bool isAmpere)
    {
        if (spec.Batch.Micro is not null || spec.Batch.MicroTokens is not null) return spec;
        var page = LetterPage.Of(spec.Model.NumCrops);
        var pages = (int)Math.Max(1, MostTokens / page.Tokens);
        while (pages > 1 && RecomputeChoice.Need(With(pages), model, ranks, isAmpere) > MemoryPart * memory) pages--;
        return With(pages);

        RunSpec With(int count) => spec with { Batch = spec.Batch with { MicroTokens = (int)Math.Ceiling(count * page.Tokens) } };
    }
}
