using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>
/// Which samples the rows of a tensor belong to. A sample's dropout depends on its own seed alone, so that it is the same in
/// whatever forward pass, on whatever rank it runs, and when a layer is computed again for backward.
/// </summary>
/// <param name="Counts">Rows of each sample, in order.</param>
/// <param name="Seeds">One a sample.</param>
internal sealed record DropoutRows(IReadOnlyList<long> Counts, IReadOnlyList<ulong> Seeds);

/// <summary>Inverted dropout with masks that can be drawn again.</summary>
internal static class Dropout
{
    /// <param name="probability">Share of the elements that become 0; the rest are divided by 1 − it.</param>
    /// <param name="salt">Tells the places of a model apart.</param>
    public static Tensor Apply(Tensor x, double probability, DropoutRows rows, ulong salt)
    {
        using var scope = NewDisposeScope();
        var masks = rows.Counts.Zip(rows.Seeds, (count, seed) => Mask(count, x.shape[1], probability, seed ^ salt)).ToArray();
        var mask = masks.Length == 1 ? masks[0] : cat(masks, 0);
        return x.mul(mask.to(x.dtype, x.device)).MoveToOuterDisposeScope();
    }

    private static Tensor Mask(long rows, long width, double probability, ulong seed)
    {
        using var quiet = no_grad();
        using var generator = new Generator(seed); // a CPU one: the process's own is shared by all ranks
        using Scalar scale = 1 / (1 - probability);
        using var keep = tensor((float)probability);
        return rand([rows, width], generator: generator).ge(keep).to(ScalarType.Float32).mul(scale);
    }
}
