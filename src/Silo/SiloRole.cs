namespace Phi3VCluster.Silo;

/// <summary>What a silo is for. In a cluster with ranks-only silos, others have to carry the coordinators.</summary>
internal enum SiloRole
{
    /// <summary>Ranks and coordinators: every silo of a cluster where nothing else is said.</summary>
    All,
    /// <summary>Ranks only: a node with GPUs that may go at any time takes no coordinator with it.</summary>
    Ranks,
    /// <summary>Queue and coordinators only: needs no GPU, no libtorch and none of the runs' files.</summary>
    Control,
}
