using static TorchSharp.torch;

namespace Phi3VCluster.Training;

/// <summary>
/// A range of a run's trained state in host memory, as snapshots, checkpoints and peers exchange it. Each tensor is float32, 1-D, as long
/// as the range.
/// </summary>
/// <param name="Flat">Where it lies in the flat buffer of trained parameters.</param>
/// <param name="Masters">The values, in full precision.</param>
/// <param name="FirstMoments">m of AdamW.</param>
/// <param name="SecondMoments">v of AdamW.</param>
public sealed record StateShard(ShardRange Flat, Tensor Masters, Tensor FirstMoments, Tensor SecondMoments) : IDisposable
{
    public void Dispose()
    {
        Masters.Dispose();
        FirstMoments.Dispose();
        SecondMoments.Dispose();
    }
}
