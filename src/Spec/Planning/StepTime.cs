namespace Phi3VCluster.Spec.Planning;

/// <summary>A step's seconds, by what they go to.</summary>
/// <param name="Compute">Forward and backward of a rank's share.</param>
/// <param name="Update">The optimizer.</param>
/// <param name="Exchange">Gradients and new values between ranks, which nothing hides.</param>
public sealed record StepTime(double Compute, double Update, double Exchange)
{
    public double Total => Compute + Update + Exchange;
}
