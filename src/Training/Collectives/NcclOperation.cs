using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// An operation on its way beside the device's other work. Its buffer must be left alone, and alive, until <see cref="Wait"/> returns.
/// </summary>
internal sealed class NcclOperation(NcclCollective collective, RingOperation operation, Tensor buffer, nint happening) : IPendingSum
{
    /// <summary>What was called.</summary>
    public RingOperation Called => operation;

    /// <summary>Recorded behind the operation; 0 when it has been waited for, or there was nothing to do.</summary>
    internal nint Happening { get; set; } = happening;

    /// <summary>Blocks until the operation is done. Rank's thread only; a second call returns at once.</summary>
    /// <exception cref="CollectiveException">As of the collective's blocking calls.</exception>
    public void Wait()
    {
        collective.Wait(this);
        GC.KeepAlive(buffer);
    }
}
