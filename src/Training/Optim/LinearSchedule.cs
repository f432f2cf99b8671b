namespace Phi3VCluster.Training.Optim;

/// <summary>Falls in a straight line to 0 after the run's last step: peak · (T−(s−1))/(T−W).</summary>
internal sealed class LinearSchedule : ILearningRateSchedule
{
    public string Name => "linear";

    public double RateAt(long step, long totalSteps, int warmupSteps, double peak) =>
        peak * (WarmUp.Factor(step - 1, warmupSteps)
            ?? Math.Max(0, (double)(totalSteps - (step - 1)) / Math.Max(1, totalSteps - warmupSteps)));
}
