namespace Phi3VCluster.Training.Optim;

/// <summary>Stays at the peak.</summary>
internal sealed class ConstantSchedule : ILearningRateSchedule
{
    public string Name => "constant";

    public double RateAt(long step, long totalSteps, int warmupSteps, double peak) => peak * (WarmUp.Factor(step - 1, warmupSteps) ?? 1);
}
