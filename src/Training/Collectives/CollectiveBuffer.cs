using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>What every backend asks of the tensors it is given.</summary>
internal static class CollectiveBuffer
{
    /// <param name="buffer">The tensor of a call.</param>
    /// <param name="summed">Sums are of float32; other operations move bytes and take any type.</param>
    /// <exception cref="ArgumentException">The caller's mistake, before anything is sent.</exception>
    public static void Check(Tensor buffer, bool summed)
    {
        if (buffer.dim() != 1 || !buffer.is_contiguous() || (summed && buffer.dtype != ScalarType.Float32))
            throw new ArgumentException($"a collective takes a contiguous 1-D {(summed ? "float32 " : "")}tensor, "
                + $"got {buffer.dtype} [{string.Join("×", buffer.shape)}]", nameof(buffer));
    }
}
