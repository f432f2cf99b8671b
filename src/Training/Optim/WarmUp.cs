namespace Phi3VCluster.Training.Optim;

/// <summary>The linear rise that all schedules begin with (Hugging Face's formula).</summary>
internal static class WarmUp
{
    /// <summary>The peak's factor of <paramref name="done"/> finished steps, or null when the warm-up is over.</summary>
    public static double? Factor(long done, int warmupSteps) => done < warmupSteps ? (double)done / warmupSteps : null;
}
