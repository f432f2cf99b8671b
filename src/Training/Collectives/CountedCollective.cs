using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// Counts the operations that a rank has entered. All ranks make the same calls, so whoever has entered fewer than the others is the one
/// that they wait for.
/// </summary>
/// <param name="inner">Owned from here on.</param>
/// <param name="entering">Called by the rank's thread, with the number of the operation, from 1.</param>
internal sealed class CountedCollective(ICollective inner, Action<long> entering) : ICollective
{
    private long _operations;

    public int Rank => inner.Rank;
    public int WorldSize => inner.WorldSize;
    public long Generation => inner.Generation;
    public bool TakesDeviceMemory => inner.TakesDeviceMemory;
    public string? Note => inner.Note;

    public void AllReduce(Tensor buffer)
    {
        entering(++_operations);
        inner.AllReduce(buffer);
    }

    public void ReduceScatter(Tensor buffer)
    {
        entering(++_operations);
        inner.ReduceScatter(buffer);
    }

    public void AllGather(Tensor buffer)
    {
        entering(++_operations);
        inner.AllGather(buffer);
    }

    public IPendingSum BeginAllReduce(Tensor buffer, HalfSum? half = null)
    {
        entering(++_operations);
        return inner.BeginAllReduce(buffer, half);
    }

    public IPendingSum BeginReduceScatter(Tensor buffer, HalfSum? half = null)
    {
        entering(++_operations);
        return inner.BeginReduceScatter(buffer, half);
    }

    public void Abort(string reason) => inner.Abort(reason);

    public void Dispose() => inner.Dispose();
}
