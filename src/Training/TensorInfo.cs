namespace Phi3VCluster.Training;

/// <summary>A weight's name in the checkpoint and its shape.</summary>
public sealed record TensorInfo(string Name, long[] Shape)
{
    public long ElementCount => Shape.Aggregate(1L, (product, size) => product * size);
}
