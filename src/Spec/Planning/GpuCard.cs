namespace Phi3VCluster.Spec.Planning;

/// <summary>A kind of graphics card.</summary>
/// <param name="Gigabytes">Its memory as sold.</param>
/// <param name="IsAmpere">Compute capability 8.0 or above, which brings both bf16 units and flash attention.</param>
public sealed record GpuCard(string Name, int Gigabytes, bool IsAmpere)
{
    /// <summary>Smallest first.</summary>
    public static IReadOnlyList<GpuCard> All { get; } =
    [
        new("T4", 16, false), new("RTX 4090", 24, true), new("V100", 32, false), new("A100", 40, true), new("RTX 8000", 48, false),
        new("A100", 80, true), new("H100", 80, true), new("H200", 141, true),
    ];

    /// <summary>10⁹ bytes a gigabyte: some 5 % less than the card has, for the gaps that an allocator leaves.</summary>
    public double UsableBytes => Gigabytes * 1e9;

    public bool Computes(RunSpec spec) => IsAmpere || (spec.Precision != "bf16" && spec.Attention != "flash");
}

/// <summary>The fewest cards of one kind that hold a run, by arithmetic.</summary>
/// <param name="BytesEach">What a rank is estimated to need then.</param>
public sealed record GpuFit(GpuCard Card, int Count, double BytesEach)
{
    /// <summary>For every kind that holds the run with as many ranks as the spec allows; none for a run that stays on CPUs.</summary>
    public static IReadOnlyList<GpuFit> Fewest(RunSpec spec) => spec.Cluster.Device == "cpu" ? [] :
    [
        .. GpuCard.All.Where(card => card.Computes(spec)).Select(card => Counts(spec)
            .Select(ranks => new GpuFit(card, ranks, MemoryEstimate.Of(spec, ranks).Total))
            .FirstOrDefault(fit => fit.BytesEach <= card.UsableBytes)).OfType<GpuFit>(),
    ];

    /// <summary>Those that say something new: a kind needs no mention where a smaller one, as good in number, has one.</summary>
    public static IReadOnlyList<GpuFit> Telling(IReadOnlyList<GpuFit> fits) =>
        [.. fits.Where((fit, i) => fits.Take(i).All(smaller => smaller.Count > fit.Count))];

    private static IEnumerable<int> Counts(RunSpec spec) =>
        Enumerable.Range(spec.Cluster.MinRanks, spec.Cluster.MaxRanks - spec.Cluster.MinRanks + 1);
}
