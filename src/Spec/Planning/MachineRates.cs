namespace Phi3VCluster.Spec.Planning;

/// <summary>How fast a device does what a step consists of.</summary>
/// <param name="Products">Operations a second of the maps' products.</param>
/// <param name="ThinProducts">Of the adapters'.</param>
/// <param name="Attention">Of attention's.</param>
/// <param name="Bytes">That pass through memory in a second.</param>
/// <param name="LayerSeconds">What the host needs to start a layer's work, there and back: a pass takes no less.</param>
public sealed record MachineRates(double Products, double ThinProducts, double Attention, double Bytes, double LayerSeconds)
{
    // Parts of the data sheet's rates that steps of the released size reached on an H100 (docs/speed.md): the rows there follow
    // within 10 %. Carried over to cards that were never measured.
    private const double ProductShare = 0.586, ThinShare = 0.19, AttentionShare = 0.29, MemoryShare = 0.78;
    private const double HostSecondsALayer = 2.2e-3;

    public static MachineRates Of(GpuCard card, string precision)
    {
        var peak = precision == "fp32" ? card.SingleRate : card.HalfRate;
        return new(peak * ProductShare, peak * ThinShare, peak * AttentionShare, card.Memory * MemoryShare, HostSecondsALayer);
    }

    /// <summary>Seconds of a pass over so many pages.</summary>
    public double PassSeconds(StepCost cost, int pages) => Math.Max(
        pages * (cost.Products / Products + cost.ThinProducts / ThinProducts + cost.Attention / Attention + cost.PageBytes / Bytes)
            + cost.PassBytes / Bytes,
        LayerSeconds * cost.LayerRuns);
}
