namespace Phi3VCluster.Training.Optim;

/// <summary>Falls to 0 along half a cosine (Loshchilov and Hutter, 2017, without restarts): peak · (1 + cos(π·(s−1−W)/(T−W)))/2.</summary>
internal sealed class CosineSchedule : ILearningRateSchedule
{
    public string Name => "cosine";

    public double RateAt(long step, long totalSteps, int warmupSteps, double peak) => peak * (WarmUp.Factor(step - 1, warmupSteps)
        ?? Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * ((double)(step - 1 - warmupSteps) / Math.Max(1, totalSteps - warmupSteps))))));
}
