namespace Phi3VCluster.Spec.Planning;

/// <summary>Whether ranks keep the optimizer's state in parts (ZeRO-2) or each all of it.</summary>
public static class OptimizerSharding
{
    /// <summary>State up to this size is kept whole by every rank: losing one then loses nothing.</summary>
    private const long LargestReplicated = 1L << 30;

    /// <param name="trained">Values.</param>
    public static bool IsSharded(RunSpec spec, long trained) => spec.Cluster.State == "sharded"
        || (spec.Cluster.State == "auto"
            && (BytesAValue(spec.Precision) * trained > LargestReplicated || spec.Batch.ReduceEvery != "step"));

    /// <summary>Both moments, and the master where the model computes in 16 bits.</summary>
    public static long BytesAValue(string precision) => sizeof(float) * (precision == "fp32" ? 2 : 3);
}
