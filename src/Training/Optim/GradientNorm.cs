using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// The global norm of sharded gradients: every rank squares its own shard, the sums are added over ranks, all scale alike.
/// </summary>
public static class GradientNorm
{
    /// <summary>Keeps a norm of zero from dividing by zero; PyTorch's.</summary>
    private const double Epsilon = 1e-6;

    /// <summary>Sum of squares over what a rank measures of the summed gradients, in float64. Not finite if a gradient is not.</summary>
    public static double SquareSum(GradientStore gradients) => gradients.Measured.Where(piece => piece.Flat.Count > 0).Sum(piece =>
    {
        using var part = gradients.Own(piece, piece.Flat);
        return SquareSums.Of(part);
    });

    /// <summary>
    /// What gradients are multiplied by so that their global norm is at most <paramref name="maxNorm"/>, as torch.nn.utils.clip_grad_norm_
    /// does.
    /// </summary>
    /// <param name="maxNorm">0 never clips.</param>
    /// <param name="globalNorm">√ of the sum of all ranks' <see cref="SquareSum"/>.</param>
    public static double ClipFactor(double maxNorm, double globalNorm) =>
        maxNorm == 0 ? 1 : Math.Min(1, maxNorm / (globalNorm + Epsilon));

    /// <summary>Multiplies a rank's own gradients.</summary>
    public static void Scale(GradientStore gradients, double factor)
    {
        if (factor == 1) return;
        using var quiet = no_grad();
        foreach (var piece in gradients.Layout.Pieces.Where(piece => piece.Flat.Count > 0))
        {
            using var part = gradients.Own(piece, piece.Flat);
            part.Scale(factor);
        }
    }
}
