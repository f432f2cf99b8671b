namespace Phi3VCluster.Training.Optim;

/// <summary>The course of the learning rate over a run. Pure arithmetic in double; one file each, found by its name.</summary>
public interface ILearningRateSchedule : INamed
{
    /// <summary>The rate of one optimizer step.</summary>
    /// <param name="step">From 1 to <paramref name="totalSteps"/>.</param>
    /// <param name="totalSteps">Of the whole run, warm-up included.</param>
    /// <param name="warmupSteps">Step s of a warm-up of W runs at peak · (s−1)/W, so the first step's rate is 0.</param>
    /// <param name="peak">The spec's learning rate.</param>
    double RateAt(long step, long totalSteps, int warmupSteps, double peak);
}
