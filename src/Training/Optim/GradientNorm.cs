using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Optim;

/// <summary>
/// The global norm of sharded gradients: every rank squares its own shard, the sums are added over ranks, all scale alike.
/// </summary>
public static class GradientNorm
{
    /// <summary>Elements that are float64 at a time on a device: few launches, 128 MiB.</summary>
    private const long GpuBlock = 16 << 20;

    /// <summary>Keeps a norm of zero from dividing by zero; PyTorch's.</summary>
    private const double Epsilon = 1e-6;

    /// <summary>Sum of squares over a shard, in float64. Not finite if a gradient is not.</summary>
    public static double SquareSum(Tensor gradients, ShardRange shard)
    {
        if (shard.Count == 0) return 0;
        using var part = gradients.narrow(0, shard.Offset, shard.Count);
        return part.device.type == DeviceType.CPU ? SquareSums.OfMemory(part) : SquareSums.OfBlocks(part, GpuBlock);
    }

    /// <summary>
    /// Scales a shard so that the global norm is at most <paramref name="maxNorm"/>, as torch.nn.utils.clip_grad_norm_ does.
    /// </summary>
    /// <param name="gradients">1-D; the shard of it is changed.</param>
    /// <param name="shard">This rank's part.</param>
    /// <param name="maxNorm">0 never clips.</param>
    /// <param name="globalNorm">√ of the sum of all ranks' <see cref="SquareSum"/>.</param>
    public static void Clip(Tensor gradients, ShardRange shard, double maxNorm, double globalNorm)
    {
        var coefficient = maxNorm / (globalNorm + Epsilon);
        if (maxNorm == 0 || coefficient >= 1 || shard.Count == 0) return;
        using var quiet = no_grad();
        using var part = gradients.narrow(0, shard.Offset, shard.Count);
        part.Scale(coefficient);
    }
}
