namespace Phi3VCluster.Spec.Planning;

/// <summary>The fewest cards of one kind that hold a run, by arithmetic.</summary>
/// <param name="BytesEach">What a rank is estimated to need then.</param>
public sealed record GpuFit(GpuCard Card, int Count, double BytesEach)
{
    /// <summary>For every kind that holds the run with as many ranks as the spec allows; none for a run that stays on CPUs.</summary>
    public static IReadOnlyList<GpuFit> Fewest(RunSpec spec) => spec.Cluster.Device == "cpu" ? [] :
    [
        .. GpuCard.All.Where(card => card.Computes(spec)).Select(card => Counts(spec)
            .Select(ranks => new GpuFit(card, ranks, NeedOf(spec, card, ranks)))
            .FirstOrDefault(fit => fit.BytesEach <= card.UsableBytes)).OfType<GpuFit>(),
    ];

    /// <summary>Those that say something new: a kind needs no mention where a smaller one, as good in number, has one.</summary>
    public static IReadOnlyList<GpuFit> Telling(IReadOnlyList<GpuFit> fits) =>
        [.. fits.Where((fit, i) => fits.Take(i).All(smaller => smaller.Count > fit.Count))];

    private static double NeedOf(RunSpec spec, GpuCard card, int ranks)
    {
        var resolved = RecomputeChoice.Resolve(spec, ModelSizes.Released, ranks, card.UsableBytes, card.IsAmpere);
        return MemoryEstimate.Of(resolved, ranks, isAmpere: card.IsAmpere).Total;
    }

    private static IEnumerable<int> Counts(RunSpec spec) =>
        Enumerable.Range(spec.Cluster.MinRanks, spec.Cluster.MaxRanks - spec.Cluster.MinRanks + 1);
}
