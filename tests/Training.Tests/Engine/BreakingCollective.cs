using Phi3VCluster.Training.Collectives;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine;

/// <summary>A collective that breaks after some large sums, as if a peer had died in the next.</summary>
internal sealed class BreakingCollective(ICollective real, int afterLargeSums) : ICollective
{
    private const long Large = 1000;

    private int _sums;

    public int Rank => real.Rank;
    public int WorldSize => real.WorldSize;
    public long Generation => real.Generation;

    public void AllReduce(Tensor buffer)
    {
        if (buffer.numel() >= Large && _sums++ >= afterLargeSums) throw new CollectiveException("a peer has died");
        real.AllReduce(buffer);
    }

    public void ReduceScatter(Tensor buffer) => real.ReduceScatter(buffer);

    public void AllGather(Tensor buffer) => real.AllGather(buffer);

    public void Abort(string reason) => real.Abort(reason);

    public void Dispose()
    {
    }
}
