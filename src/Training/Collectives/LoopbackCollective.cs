using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>The sum over one rank is what is there already; only the contract's checks remain.</summary>
internal sealed class LoopbackCollective(long generation) : ICollective
{
    private volatile string? _broken;

    public int Rank => 0;
    public int WorldSize => 1;
    public long Generation => generation;
    public bool TakesDeviceMemory => true; // it touches none

    public void AllReduce(Tensor buffer) => Check(buffer, summed: true);

    public void ReduceScatter(Tensor buffer) => Check(buffer, summed: true);

    public void AllGather(Tensor buffer) => Check(buffer, summed: false);

    public IPendingSum BeginAllReduce(Tensor buffer, HalfSum? half = null) => BeginReduceScatter(buffer, half);

    /// <summary>Nothing travels, so that nothing is rounded.</summary>
    public IPendingSum BeginReduceScatter(Tensor buffer, HalfSum? half = null)
    {
        Check(buffer, summed: true);
        return DoneSum.Instance;
    }

    public void Abort(string reason) => _broken ??= $"aborted: {reason}";

    public void Dispose() => _broken ??= "the collective is disposed";

    private void Check(Tensor buffer, bool summed)
    {
        if (_broken is { } reason) throw new CollectiveException($"rank 0 (generation {generation}): {reason}.");
        CollectiveBuffer.Check(buffer, summed);
    }
}
