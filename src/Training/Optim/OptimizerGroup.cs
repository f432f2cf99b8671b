namespace Phi3VCluster.Training.Optim;

/// <summary>What tensors have in common that are updated by one call.</summary>
internal readonly record struct OptimizerGroup(bool Decays, double RateFactor, bool NeedsImages)
{
    public static OptimizerGroup Of(FlatEntry entry) => new(entry.Decays, entry.RateFactor, entry.NeedsImages);

    /// <summary>In the order of the groups' first tensors: the same on every rank.</summary>
    public static IEnumerable<OptimizerGroup> AllOf(FlatParameters parameters) => parameters.Entries.Select(Of).Distinct();
}
