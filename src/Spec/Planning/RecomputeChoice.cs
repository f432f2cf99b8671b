namespace Phi3VCluster.Spec.Planning;

/// <summary>
/// What <c>activationCheckpointing: auto</c> comes to: the least recomputing with which passes of letter pages fit a rank's memory, by the
/// arithmetic of <see cref="MemoryEstimate"/>. It changes nothing of what is learned, so that ranks may come to different ends.
/// </summary>
public static class RecomputeChoice
{
    /// <summary>From the fastest to the smallest.</summary>
    internal static IReadOnlyList<string> Policies { get; } = ["none", "selective", "full"];

    /// <param name="ranks">The fewest that the run may have: state in parts is largest then.</param>
    /// <param name="memory">Bytes that a rank may fill.</param>
    /// <param name="isAmpere">See <see cref="MemoryEstimate.Of"/>.</param>
    /// <returns>The spec with a policy where it says auto; <c>full</c> where none fits.</returns>
    public static RunSpec Resolve(RunSpec spec, ModelSizes model, int ranks, double memory, bool isAmpere) =>
        spec.ActivationCheckpointing != "auto" ? spec
            : Fitting(spec, model, ranks, memory, isAmpere) ?? spec with { ActivationCheckpointing = Policies[^1] };

    /// <returns>The spec with the first policy that fits, whatever it says; null where none does.</returns>
    /// <inheritdoc cref="Resolve"/>
    public static RunSpec? Fitting(RunSpec spec, ModelSizes model, int ranks, double memory, bool isAmpere) =>
        Policies.Select(policy => spec with { ActivationCheckpointing = policy })
            .FirstOrDefault(one => Need(one, model, ranks, isAmpere) <= memory);

    /// <summary>Bytes of a rank while it trains: what answers take in evaluation is the same whatever is recomputed.</summary>
    public static double Need(RunSpec spec, ModelSizes model, int ranks, bool isAmpere) =>
        (MemoryEstimate.Of(spec, ranks, model, isAmpere) with { Answers = 0 }).Total;
}
